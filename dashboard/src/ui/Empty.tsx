import type { ReactNode } from "react";

/** Nothing to show: why, and what next. */
export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="mx-auto flex max-w-md flex-col items-center gap-3 px-6 py-16 text-center">
      <h2 className="font-semibold text-title">{title}</h2>
      <div className="flex flex-col items-center gap-3 text-ink2">{children}</div>
    </div>
  );
}
