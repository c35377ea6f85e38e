import { lazy, Suspense, useCallback, useEffect, useMemo, useState } from "react";
import { JOB_FILTER, type JobFilter } from "../../api/jobs";
import { isEmptyFilter, parseFilter, printFilter } from "../../lib/filter";
import { useHref, useOpen, useUrl } from "../../lib/url";
import { useJob, useWatch } from "../../live/hooks";
import { Fresh } from "../../ui/Fresh";
import { Older, useOlder } from "../../ui/Older";
import { PageHead } from "../../ui/Page";
import { ProblemNote } from "../../ui/ProblemNote";
import { SkeletonRows } from "../../ui/Skeleton";
import { VirtualTable } from "../../ui/VirtualTable";
import { BulkBar, useBulk } from "./BulkBar";
import { COLUMNS } from "./columns";
import { FilterBar } from "./FilterBar";
import { NoMatch } from "./NoMatch";
import { belongsTo, useJobList } from "./useJobList";

const panel = () => import("./JobPanel");
const JobPanel = lazy(() => panel().then(({ JobPanel }) => ({ default: JobPanel })));

const Operations = lazy(() => import("./Operations").then(({ Operations }) => ({ default: Operations })));
const AllMatching = lazy(() => import("./AllMatching").then(({ AllMatching }) => ({ default: AllMatching })));

const NoJobs = lazy(() => import("./NoJobs").then(({ NoJobs }) => ({ default: NoJobs })));

const NOTHING: Record<string, undefined> = Object.fromEntries(
  Object.keys(JOB_FILTER).map((key) => [key, undefined]),
);

/** What is open in a job's panel. */
const WITHIN = ["tab", "request"];

export function Screen() {
  const [url, setUrl] = useUrl();
  const address = JSON.stringify(printFilter(JOB_FILTER, parseFilter(JOB_FILTER, url)));
  const filter = useMemo(() => parseFilter(JOB_FILTER, JSON.parse(address)), [address]);
  const [open, setOpen] = useOpen(WITHIN);
  // Not part of the first load, but there before the first click.
  useEffect(() => {
    const timer = setTimeout(() => void panel().catch(() => {}), 1000);
    return () => clearTimeout(timer);
  }, []);

  const setFilter = (next: JobFilter) => setUrl({ ...NOTHING, ...printFilter(JOB_FILTER, next) });

  return (
    <div className="flex min-h-0 flex-1">
      <div className="flex min-w-0 flex-1 flex-col">
        <PageHead title="Jobs" />
        <FilterBar filter={filter} onFilter={setFilter} />
        <Suspense>
          <Operations />
        </Suspense>
        {/* Another filter is another list: place and selection begin anew. */}
        <List key={address} filter={filter} open={open} onOpen={setOpen} onClear={() => setFilter({})} />
      </div>
      <Suspense>{open && <JobPanel key={open} id={open} onClose={() => setOpen(undefined)} />}</Suspense>
    </div>
  );
}

type ListProps = {
  filter: JobFilter;
  open: string | undefined;
  onOpen: (id: string | undefined) => void;
  onClear: () => void;
};

function List({ filter, open, onOpen, onClear }: ListProps) {
  const [reading, setReading] = useState(false);
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  const [all, setAll] = useState(false);
  const [visible, setVisible] = useState<readonly string[]>([]);
  const { list, ids, fresh, more, adopt } = useJobList(filter, reading);
  useWatch(visible);
  const toAddress = useHref();
  const href = useCallback(
    (id: string) => toAddress("/jobs", { ...printFilter(JOB_FILTER, filter), id }),
    [toAddress, filter],
  );
  const belongs = useMemo(() => belongsTo(filter), [filter]);
  const clear = useCallback(() => {
    setAll(false);
    setSelected(new Set());
  }, []);
  const select = useCallback((chosen: readonly string[], on: boolean) => {
    setAll(false);
    setSelected((before) => {
      const after = new Set(before);
      for (const id of chosen) on ? after.add(id) : after.delete(id);
      return after;
    });
  }, []);
  const target = useMemo(() => (selected.size > 0 ? [...selected] : open ? [open] : []), [selected, open]);
  const bulk = useBulk(target, clear);
  const onMore = useOlder(list);

  if (list.isPending) return <SkeletonRows label="Loading jobs" />;
  if (list.isError && !list.data)
    return <ProblemNote error={list.error} onRetry={() => void list.refetch()} />;
  if (ids.length === 0 && !list.hasNextPage)
    return isEmptyFilter(JOB_FILTER, filter) ? (
      <Suspense>
        <NoJobs />
      </Suspense>
    ) : (
      <NoMatch onClear={onClear} />
    );

  return (
    <>
      <Fresh rows={fresh} more={more} onAdopt={adopt}>
        <VirtualTable
          label="Jobs"
          ids={ids}
          columns={COLUMNS}
          useRow={useJob}
          belongs={belongs}
          href={href}
          open={open}
          onOpen={onOpen}
          selected={selected}
          onSelect={bulk.may ? select : undefined}
          hasMore={list.hasNextPage}
          onMore={onMore}
          onVisible={setVisible}
          onReading={setReading}
          foot={<Older pages={list} what="jobs" />}
        />
      </Fresh>
      {(all || (list.hasNextPage && selected.size === ids.length)) && (
        <Suspense>
          <AllMatching filter={filter} loaded={ids.length} all={all} onAll={setAll} onEnd={clear} />
        </Suspense>
      )}
      {selected.size > 0 && !all && <BulkBar selected={selected.size} bulk={bulk} onClear={clear} />}
      {bulk.dialog}
    </>
  );
}
