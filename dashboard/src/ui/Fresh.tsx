import type { ReactNode } from "react";
import { useRef } from "react";
import { count } from "../lib/number";
import { Button } from "./Button";

/** A list, and over it how many rows came while its reader is in it; pressed, they stand at its top. */
export function Fresh({
  rows,
  more = false,
  onAdopt,
  children,
}: {
  rows: number;
  /** There may be others beyond these. */
  more?: boolean;
  onAdopt: () => void;
  children: ReactNode;
}) {
  const list = useRef<HTMLDivElement>(null);
  return (
    <div className="relative flex min-h-0 flex-1 flex-col">
      {rows > 0 && (
        <Button
          kind="main"
          className="absolute top-10 left-1/2 z-15 -translate-x-1/2 rounded-lg shadow-float"
          onClick={() => {
            list.current?.firstElementChild?.scrollTo({ top: 0 });
            onAdopt();
          }}
        >
          {count(rows)}
          {more && "+"} new
        </Button>
      )}
      <div ref={list} className="flex min-h-0 flex-1 flex-col">
        {children}
      </div>
    </div>
  );
}
