import type { ReactNode } from "react";

/** The head of a screen: its name, and what can be done on it. The document's title follows it. */
export function PageHead({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <header className="flex min-h-13 shrink-0 flex-wrap items-center gap-x-4 gap-y-2 border-line2 border-b px-4 py-2 md:px-6">
      <title>{`${title} · offpeak`}</title>
      <h1 className="font-semibold text-title">{title}</h1>
      {children}
    </header>
  );
}
