import clsx from "clsx";
import { CopyButton } from "./Copy";

/** Text as it is, always a text node: nothing in it can run or load. Scrolls by keyboard too. */
export function Code({
  text,
  what,
  wrap = false,
  prose = false,
  shown = text,
}: {
  text: string;
  /** Names it: `command`, `result`. */
  what: string;
  wrap?: boolean;
  prose?: boolean;
  /** A part of it, where all of it is too much to lay out; copying takes the whole. */
  shown?: string;
}) {
  return (
    <div className="relative">
      <div className="absolute top-1 right-1 rounded-md bg-sunk">
        <CopyButton text={text} what={what} />
      </div>
      <section
        aria-label={what}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and not everybody has a wheel
        tabIndex={0}
        className="max-h-120 overflow-auto rounded-md bg-sunk p-3 pr-10 text-left text-ink"
      >
        <pre
          className={clsx(
            prose ? "font-sans" : "font-mono text-meta",
            wrap && "whitespace-pre-wrap break-words",
          )}
        >
          {shown}
        </pre>
      </section>
    </div>
  );
}
