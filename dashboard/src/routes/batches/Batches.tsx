import { useInfiniteQuery, useQueryClient } from "@tanstack/react-query";
import { lazy, Suspense, useCallback, useMemo, useState } from "react";
import { batchesQuery, lookForBatches } from "../../api/batches";
import { useHref, useUrl } from "../../lib/url";
import { useChanges } from "../../live/onCounts";
import { useBatchRow } from "../../parts/useBatchRow";
import { Empty } from "../../ui/Empty";
import { Go } from "../../ui/Go";
import { PageHead } from "../../ui/Page";
import { ProblemNote } from "../../ui/ProblemNote";
import { SkeletonRows } from "../../ui/Skeleton";
import { VirtualTable } from "../../ui/VirtualTable";
import { COLUMNS } from "./columns";

const BatchPanel = lazy(() => import("./BatchPanel").then(({ BatchPanel }) => ({ default: BatchPanel })));

export function Screen() {
  const [{ id: open }, setUrl] = useUrl();
  const setOpen = useCallback(
    (id: string | undefined) => setUrl({ id }, { replace: id !== undefined && open !== undefined }),
    [setUrl, open],
  );
  return (
    <div className="flex min-h-0 flex-1">
      <div className="flex min-w-0 flex-1 flex-col">
        <PageHead title="Batches" />
        <List open={open} onOpen={setOpen} />
      </div>
      <Suspense>{open && <BatchPanel key={open} id={open} onClose={() => setOpen(undefined)} />}</Suspense>
    </div>
  );
}

type ListProps = { open: string | undefined; onOpen: (id: string | undefined) => void };

function List({ open, onOpen }: ListProps) {
  const list = useInfiniteQuery(batchesQuery);
  const [reading, setReading] = useState(false);
  const queries = useQueryClient();
  // Without an error of its own: the next change asks again, and the connection says how it stands.
  const look = useCallback(() => void lookForBatches(queries).catch(() => {}), [queries]);
  const { refetch, fetchNextPage, isFetchingNextPage, isFetchNextPageError } = list;
  useChanges(look, list.isSuccess && !reading);
  const ids = useMemo(() => [...new Set(list.data?.pages.flatMap((page) => page.ids))], [list.data]);
  const toAddress = useHref();
  const href = useCallback((id: string) => toAddress("/batches", { id }), [toAddress]);
  const onMore = useCallback(() => {
    if (!isFetchingNextPage && !isFetchNextPageError) void fetchNextPage();
  }, [fetchNextPage, isFetchingNextPage, isFetchNextPageError]);

  if (list.isPending) return <SkeletonRows label="Loading batches" />;
  if (list.isError && !list.data) return <ProblemNote error={list.error} onRetry={() => void refetch()} />;
  if (ids.length === 0) return <NoBatches />;
  return (
    <VirtualTable
      label="Batches"
      ids={ids}
      columns={COLUMNS}
      useRow={useBatchRow}
      href={href}
      open={open}
      onOpen={onOpen}
      hasMore={list.hasNextPage}
      onMore={onMore}
      onReading={setReading}
      foot={
        list.isFetchNextPageError ? (
          <ProblemNote error={list.error} onRetry={() => void fetchNextPage()} />
        ) : list.hasNextPage ? (
          <p className="late px-4 py-3 text-ink3 md:px-6">Loading older batches</p>
        ) : (
          <p className="px-4 py-3 text-ink3 md:px-6">That is all of them that are still kept.</p>
        )
      }
    />
  );
}

function NoBatches() {
  return (
    <Empty title="No batches yet">
      <p>
        Waiting jobs of one model are sent to Anthropic together, as a batch. The first one shows up here by
        itself.
      </p>
      <p>
        <Go to="/jobs">See the jobs</Go>
      </p>
    </Empty>
  );
}
