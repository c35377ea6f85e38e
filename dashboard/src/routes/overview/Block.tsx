import type { ReactNode } from "react";

/** A part of the overview: what it is, and beside that what it stands on. */
export function Block({ title, aside, children }: { title: string; aside?: ReactNode; children: ReactNode }) {
  return (
    <section aria-label={title} className="min-w-0">
      <div className="mb-3 flex flex-wrap items-baseline justify-between gap-x-4 gap-y-1">
        <h2 className="font-semibold text-title">{title}</h2>
        {aside && <p className="text-ink3 text-meta">{aside}</p>}
      </div>
      {children}
    </section>
  );
}
