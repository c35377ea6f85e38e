import { useInfiniteQuery } from "@tanstack/react-query";
import { lazy, Suspense, useCallback, useMemo, useState } from "react";
import { groupsQuery, lookForGroups } from "../../api/groups";
import { useHref, useOpen } from "../../lib/url";
import { useTopics } from "../../live/hooks";
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
import { rowsOf } from "./useGroupRow";

const GroupPanel = lazy(() => import("./GroupPanel").then(({ GroupPanel }) => ({ default: GroupPanel })));

/** Of those that run, so many are followed live; the others are right when the list is read. */
const FOLLOWED = 10;

export function Screen() {
  const [open, setOpen] = useOpen();
  return (
    <div className="flex min-h-0 flex-1">
      <div className="flex min-w-0 flex-1 flex-col">
        <PageHead title="Groups" />
        <List open={open} onOpen={setOpen} />
      </div>
      <Suspense>{open && <GroupPanel key={open} id={open} onClose={() => setOpen(undefined)} />}</Suspense>
    </div>
  );
}

type ListProps = { open: string | undefined; onOpen: (id: string | undefined) => void };

function List({ open, onOpen }: ListProps) {
  const list = useInfiniteQuery(groupsQuery);
  const [reading, setReading] = useState(false);
  const { fresh, adopt } = useFresh(lookForGroups, list.isSuccess, reading);
  const groups = useMemo(
    () => new Map(list.data?.pages.flatMap(({ data }) => data.map((group) => [group.id, group] as const))),
    [list.data],
  );
  const ids = useMemo(() => [...groups.keys()], [groups]);
  useTopics(
    [...groups.values()]
      .filter(({ done }) => !done)
      .slice(0, FOLLOWED)
      .map(({ id }) => `group:${id}`),
  );
  const useRow = useMemo(() => rowsOf(groups), [groups]);
  const toAddress = useHref();
  const href = useCallback((id: string) => toAddress("/groups", { id }), [toAddress]);
  const onMore = useOlder(list);

  if (list.isPending) return <SkeletonRows label="Loading groups" />;
  if (list.isError && !list.data)
    return <ProblemNote error={list.error} onRetry={() => void list.refetch()} />;
  if (ids.length === 0) return <NoGroups />;
  return (
    <Fresh rows={fresh.rows} more={fresh.more} onAdopt={adopt}>
      <VirtualTable
        label="Groups"
        ids={ids}
        columns={COLUMNS}
        useRow={useRow}
        href={href}
        open={open}
        onOpen={onOpen}
        hasMore={list.hasNextPage}
        onMore={onMore}
        onReading={setReading}
        foot={<Older pages={list} what="groups" />}
      />
    </Fresh>
  );
}

function NoGroups() {
  return (
    <Empty title="No groups yet">
      <p>
        Jobs that are submitted together make a group: <code className="font-mono">offpeak submit</code>, or{" "}
        <code className="font-mono">POST /v1/jobs/bulk</code>. It shows up here as soon as its upload begins.
      </p>
      <p>
        <Go to="/jobs">See the jobs</Go>
      </p>
    </Empty>
  );
}
