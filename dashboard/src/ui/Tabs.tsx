import clsx from "clsx";
import { type KeyboardEvent, type ReactNode, useId, useRef } from "react";
import { type Keys, useKeys } from "../lib/keys";

export type Tab = { id: string; title: ReactNode; body: ReactNode };

/** One of several views of the same thing. Arrow keys move between them; with `keys`, so do `[` and `]`
 *  from anywhere on the page. */
export function Tabs({
  label,
  tabs,
  current,
  onChange,
  keys = false,
}: {
  label: string;
  tabs: readonly Tab[];
  current: string;
  onChange: (id: string) => void;
  keys?: boolean;
}) {
  const base = useId();
  const list = useRef<HTMLDivElement>(null);
  const shown = tabs.find((tab) => tab.id === current) ?? tabs[0];

  function step(by: 1 | -1): Tab | undefined {
    const next = shown && tabs[(tabs.indexOf(shown) + by + tabs.length) % tabs.length];
    if (next) onChange(next.id);
    return next;
  }
  const letters: Keys = { "[": () => step(-1), "]": () => step(1) };
  useKeys(keys ? letters : {});

  function move(event: KeyboardEvent) {
    const by = ({ ArrowRight: 1, ArrowLeft: -1 } as const)[event.key];
    if (!by) return;
    event.preventDefault();
    const next = step(by);
    if (next) list.current?.querySelector<HTMLElement>(`[data-tab="${next.id}"]`)?.focus();
  }

  return (
    <div>
      <div ref={list} role="tablist" aria-label={label} className="flex gap-4 border-line2 border-b">
        {tabs.map((tab) => (
          <button
            key={tab.id}
            type="button"
            role="tab"
            data-tab={tab.id}
            id={`${base}-${tab.id}`}
            aria-selected={tab === shown}
            aria-controls={tab === shown ? `${base}-panel` : undefined}
            tabIndex={tab === shown ? 0 : -1}
            className={clsx(
              "-mb-px h-8 border-b-2",
              tab === shown
                ? "border-tide font-semibold text-ink"
                : "border-transparent text-ink2 hover:text-ink",
            )}
            onClick={() => onChange(tab.id)}
            onKeyDown={move}
          >
            {tab.title}
          </button>
        ))}
      </div>
      <div
        role="tabpanel"
        id={`${base}-panel`}
        aria-labelledby={shown && `${base}-${shown.id}`}
        className="pt-3"
      >
        {shown?.body}
      </div>
    </div>
  );
}
