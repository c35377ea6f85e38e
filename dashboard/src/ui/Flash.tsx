import { type ReactNode, useState } from "react";

/** Lights up when `of` changes while it is shown; not when it scrolls into view. */
export function Flash({ of, children }: { of: string; children: ReactNode }) {
  const [first] = useState(of);
  const [changed, setChanged] = useState(false);
  if (of !== first && !changed) setChanged(true);
  return (
    <span key={of} className={changed ? "block animate-flash rounded-sm" : "block"}>
      {children}
    </span>
  );
}
