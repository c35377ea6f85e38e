// What came first in a list since it was read, put before what is loaded.

import type { InfiniteData } from "@tanstack/react-query";

/** Without asking for the older pages again. Undefined: there is a gap between the two, which only reading anew closes. */
export function before<P>(
  data: InfiniteData<P, unknown>,
  newest: P,
  rows: (page: P) => readonly string[],
  join: (newest: P, first: P) => P,
): InfiniteData<P, unknown> | undefined {
  const [first, ...rest] = data.pages;
  if (!first) return undefined;
  const known = new Set(rows(first));
  const together = rows(newest).some((id) => known.has(id));
  if (!together && (known.size > 0 || rest.length > 0)) return undefined;
  return { ...data, pages: [join(newest, first), ...rest] };
}
