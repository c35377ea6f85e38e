import { useInfiniteQuery } from "@tanstack/react-query";
import { lazy, Suspense, useCallback, useMemo, useState } from "react";
import { batchesQuery, lookForBatches } from "../../api/batches";
import { useHref, useOpen } from "../../lib/url";
import { useBatchRow } from "../../parts/useBatchRow";
import { useFresh } from "../../parts/useFresh";
import { Empty } from "../../ui/Empty";
import { Fresh } from "../../ui/Fresh";
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
  const { fresh, adopt } = useFresh(lookForBatches, list.isSuccess, reading);
  const ids = useMemo(() => [...new Set(list.data?.pages.flatMap((page) => page.ids))], [list.data]);
  const toAddress = useHref();
  const href = useCallback((id: string) => toAddress("/batches", { id }), [toAddress]);
  const onMore = useOlder(list);

  if (list.isPending) return <SkeletonRows label="Loading batches" />;
  if (list.isError && !list.data)
    return <ProblemNote error={list.error} onRetry={() => void list.refetch()} />;
  if (ids.length === 0) return <NoBatches />;
  return (
    <Fresh rows={fresh.rows} more={fresh.more} onAdopt={adopt}>
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
    </Fresh>
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
