import { Link } from "@tanstack/react-router";
import clsx from "clsx";
import type { ReactNode } from "react";

/** A link to a screen, with what it is filtered by. */
export function Go({
  to,
  search = {},
  className,
  plain = false,
  children,
}: {
  to: string;
  search?: Record<string, string>;
  className?: string;
  /** Without the look of a link, where the whole of a thing is one. */
  plain?: boolean;
  children: ReactNode;
}) {
  return (
    <Link
      to={to}
      search={search}
      className={clsx(!plain && "text-tide-ink underline-offset-2 hover:underline", className)}
    >
      {children}
    </Link>
  );
}
