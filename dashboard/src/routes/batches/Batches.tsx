import { useInfiniteQuery, useQueryClient } from "@tanstack/react-query";
import { lazy, Suspense, useCallback, useMemo, useState } from "react";
import { batchesQuery, lookForBatches } from "../../api/batches";
import { useHref, useOpen } from "../../lib/url";
import { useChanges } from "../../live/onCounts";
import { useBatchRow } from "../../parts/useBatchRow";
import { Empty } from "../../ui/Empty";
import { Go } from "../../ui/Go";
import { Older, useOlder } from "../../ui/Older";
import { PageHead } from "../../ui/Page";
import { ProblemNote } from "../../ui/ProblemNote";
import { SkeletonRows } from "../../ui/Skeleton";
import { VirtualTable } from "../../ui/VirtualTable";
import { COLUMNS } from "./columns";

const BatchPanel = lazy(() => import("./BatchPanel").then(({ BatchPanel }) => ({ default: BatchPanel })));

export function Screen() {
  const [open, setOpen] = useOpen();
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
  useChanges(look, list.isSuccess && !reading);
  const ids = useMemo(() => [...new Set(list.data?.pages.flatMap((page) => page.ids))], [list.data]);
  const toAddress = useHref();
  const href = useCallback((id: string) => toAddress("/batches", { id }), [toAddress]);
  const onMore = useOlder(list);

  if (list.isPending) return <SkeletonRows label="Loading batches" />;
  if (list.isError && !list.data)
    return <ProblemNote error={list.error} onRetry={() => void list.refetch()} />;
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
      foot={<Older pages={list} what="batches" />}
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
