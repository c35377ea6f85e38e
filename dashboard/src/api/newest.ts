// What came first in a list since it was read, put before what is loaded.

import type { InfiniteData } from "@tanstack/react-query";

/** Rows that came and are not in the list yet; with `more` there may be others beyond these. */
export type Fresh = { rows: number; more: boolean };

export const NONE_FRESH: Fresh = { rows: 0, more: false };

/** What of the newest page is not in a list whose reader must not be moved. */
export function freshOf<P>(
  data: InfiniteData<P, unknown>,
  newest: P,
  rows: (page: P) => readonly string[],
  ends: (page: P) => boolean,
): Fresh {
  const known = new Set(data.pages.flatMap(rows));
  const all = rows(newest);
  const fresh = all.filter((id) => !known.has(id)).length;
  return { rows: fresh, more: fresh > 0 && fresh === all.length && !ends(newest) };
}

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
