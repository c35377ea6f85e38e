// The older pages of a list that is read as its reader scrolls.

import { useCallback } from "react";
import { ProblemNote } from "./ProblemNote";

type Pages = {
  hasNextPage: boolean;
  isFetchingNextPage: boolean;
  isFetchNextPageError: boolean;
  error: Error | null;
  fetchNextPage: () => Promise<unknown>;
};

/** Reads the next page, unless it is being read, or failed: then the reader says so. */
export function useOlder({ fetchNextPage, isFetchingNextPage, isFetchNextPageError }: Pages) {
  return useCallback(() => {
    if (!isFetchingNextPage && !isFetchNextPageError) void fetchNextPage();
  }, [fetchNextPage, isFetchingNextPage, isFetchNextPageError]);
}

/** What stands below the last row: more comes, could not be read, or is not there. */
export function Older({ pages, what }: { pages: Pages; what: string }) {
  if (pages.isFetchNextPageError)
    return <ProblemNote error={pages.error} onRetry={() => void pages.fetchNextPage()} />;
  if (pages.hasNextPage) return <p className="late px-4 py-3 text-ink3 md:px-6">Loading older {what}</p>;
  return <p className="px-4 py-3 text-ink3 md:px-6">That is all of them that are still kept.</p>;
}
