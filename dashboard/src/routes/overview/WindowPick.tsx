import clsx from "clsx";
import { WINDOWS, type Window } from "../../api/overview";

export const WINDOW_WORDS: Record<Window, string> = {
  "1h": "last hour",
  "24h": "last 24 hours",
  "7d": "last 7 days",
};

/** How far back the rates go. */
export function WindowPick({ window, onPick }: { window: Window; onPick: (window: Window) => void }) {
  return (
    <fieldset className="ml-auto flex gap-1">
      <legend className="sr-only">How far back</legend>
      {WINDOWS.map((one) => (
        <button
          key={one}
          type="button"
          aria-pressed={one === window}
          title={WINDOW_WORDS[one]}
          onClick={() => onPick(one)}
          className={clsx(
            "h-7 rounded-md px-2",
            one === window ? "bg-sunk font-semibold text-ink" : "text-ink2 hover:text-ink",
          )}
        >
          {one.replace(/(\d+)/, "$1 ")}
        </button>
      ))}
    </fieldset>
  );
}
