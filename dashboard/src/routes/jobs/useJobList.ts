// The ids of a filtered list, newest first, and what is not in it yet.

import { type InfiniteData, useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useMemo } from "react";
import { type Ids, JOB_FILTER, type Job, type JobFilter, jobsQuery, newestJobs } from "../../api/jobs";
import { printFilter } from "../../lib/filter";
import { ms } from "../../lib/time";
import { live } from "../../live/live";
import { onCounts } from "../../live/onCounts";

/** Whether a job belongs to a filter, as the server would say it. */
export const belongsTo = (filter: JobFilter) => (job: Job) =>
  (!filter.state || filter.state.includes(job.state)) &&
  (!filter.type || job.type === filter.type) &&
  (!filter.group || job.group === filter.group) &&
  (!filter.batch || job.batch === filter.batch) &&
  (!filter.user || job.user === filter.user) &&
  (!filter.model || job.model === filter.model) &&
  (!filter.label || (job.state === "failed" && job.label === filter.label)) &&
  (!filter.batch || job.batch === filter.batch) &&
  (!filter.since || ms(job.created_at) >= ms(filter.since)) &&
  (!filter.until || ms(job.created_at) < ms(filter.until));

const newestFirst = (a: string, b: string) => (a < b ? 1 : a > b ? -1 : 0); // an id begins with its time

/** `held`: the reader is in the list, so that new rows wait in `fresh` until `adopt` is called. */
export function useJobList(filter: JobFilter, held: boolean) {
  const queries = useQueryClient();
  const options = jobsQuery(filter);
  const list = useInfiniteQuery(options);
  const ids = useMemo(() => [...new Set(list.data?.pages.flatMap((page) => page.ids))], [list.data]);

  const newest = useQuery({
    queryKey: ["jobs", "newest", printFilter(JOB_FILTER, filter)],
    queryFn: ({ signal }) => newestJobs(filter, signal),
    enabled: false, // only when the counts say that something came
    initialData: undefined as Ids | undefined,
  });
  const look = newest.refetch;
  const loaded = list.isSuccess;
  useEffect(() => (loaded ? onCounts(() => void look()) : undefined), [loaded, look]);

  const fresh = useMemo(() => {
    const known = new Set(ids);
    const oldest = list.hasNextPage ? ids.at(-1) : undefined;
    return (newest.data?.ids ?? []).filter((id) => !known.has(id) && (!oldest || id > oldest));
  }, [newest.data, ids, list.hasNextPage]);
  // None of the newest page is known: how many lie between is not known either.
  const more = fresh.length > 0 && fresh.length === newest.data?.ids.length && newest.data.next !== null;

  const key = JSON.stringify(options.queryKey);
  // biome-ignore lint/correctness/useExhaustiveDependencies: `key` stands for the options, which are made anew each time
  const adopt = useCallback(() => {
    const { data: page } = newest;
    // A gap lies between: the newest page begins the list anew, and the rest is read while scrolling.
    if (more && page) {
      queries.setQueryData(options.queryKey, { pages: [page], pageParams: [undefined] });
      return;
    }
    const fits = belongsTo(filter);
    queries.setQueryData(options.queryKey, (data: InfiniteData<Ids> | undefined) => {
      const [first, ...rest] = data?.pages ?? [];
      if (!data || !first) return data;
      const stays = first.ids.filter((id) => {
        const job = live.jobs.get(id);
        return !job || fits(job);
      });
      const merged = [...new Set([...fresh, ...stays])].sort(newestFirst);
      return { ...data, pages: [{ ...first, ids: merged }, ...rest] };
    });
  }, [queries, key, newest.data, fresh, more]);

  useEffect(() => {
    if (!held && fresh.length > 0) adopt();
  }, [held, fresh, adopt]);

  return { list, ids, fresh: fresh.length, more, adopt };
}
