import { infiniteQueryOptions, keepPreviousData, queryOptions } from "@tanstack/react-query";
import { type FilterOf, printFilter } from "../lib/filter";
import { jobs as held } from "../live/live";
import { api, body, type Schemas } from "./client";

export type Job = Schemas["Job"];
export type JobState = Schemas["JobState"];
export type JobResult = Schemas["JobResult"];

export const JOB_STATES = ["queued", "submitted", "processing", "completed", "failed", "canceled"] as const;

export const JOB_FILTER = {
  state: { list: JOB_STATES },
  type: "text",
  group: "text",
  batch: "text",
  user: "text",
  model: "text",
} as const;

export type JobFilter = FilterOf<typeof JOB_FILTER>;

/** A page of a list: ids only. What they stand for is in the live store, once for every screen. */
export type Ids = { ids: string[]; next: string | null };

const PAGE = 100;

async function page(
  filter: JobFilter,
  limit: number,
  cursor: string | undefined,
  signal: AbortSignal,
): Promise<Ids> {
  const asked = held.asked();
  const query = { ...printFilter(JOB_FILTER, filter), limit, ...(cursor && { cursor }) };
  const { data, next_cursor } = body(await api.GET("/v1/jobs", { params: { query }, signal }));
  held.put(data, asked);
  return { ids: data.map((job) => job.id), next: next_cursor ?? null };
}

export const jobsQuery = (filter: JobFilter) =>
  infiniteQueryOptions({
    queryKey: ["jobs", "list", printFilter(JOB_FILTER, filter)],
    queryFn: ({ pageParam, signal }) => page(filter, PAGE, pageParam, signal),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last) => last.next ?? undefined,
    meta: { live: "watched" },
  });

/** The newest of a filter, to see what is not in the list yet. */
export const newestJobs = (filter: JobFilter, signal: AbortSignal): Promise<Ids> =>
  page(filter, PAGE, undefined, signal);

/** One job in full. `rev` is the live row's: with a new one it is read again, and the old stays in sight. */
export const jobQuery = (id: string, rev: number) =>
  queryOptions({
    queryKey: ["jobs", "one", id, rev],
    queryFn: async ({ signal }): Promise<Job> => {
      const asked = held.asked();
      const job = body(await api.GET("/v1/jobs/{id}", { params: { path: { id } }, signal }));
      held.put([job], asked);
      return job;
    },
    placeholderData: keepPreviousData,
  });

export const resultQuery = (id: string, rev: number) =>
  queryOptions({
    queryKey: ["jobs", "result", id, rev],
    // With its source: numbers that do not fit a float are shown from there.
    queryFn: async ({ signal }): Promise<{ result: JobResult; source: string }> => {
      const answer = await api.GET("/v1/jobs/{id}/result", {
        params: { path: { id } },
        signal,
        parseAs: "text",
      });
      const source: string = body(answer);
      return { result: JSON.parse(source) as JobResult, source };
    },
    placeholderData: keepPreviousData,
  });

/** What may be done with a job, by its state: the one place that says so. */
export const can = {
  cancel: (job: Job) => !hasEnded(job.state),
  /** A completed one too, but that is paid again and hides its answer: not from a list. */
  retry: (job: Job) => job.state === "failed" || job.state === "canceled",
};

export const hasEnded = (state: JobState) =>
  state === "completed" || state === "failed" || state === "canceled";

async function change(id: string, path: "/v1/jobs/{id}/cancel" | "/v1/jobs/{id}/retry", now: Partial<Job>) {
  const asked = held.asked();
  const undo = held.expect(id, now);
  try {
    held.put([body(await api.POST(path, { params: { path: { id } } }))], asked);
  } finally {
    undo();
  }
}

/** The glyph changes at once, and back when the server says no. */
export const cancelJob = (id: string) => change(id, "/v1/jobs/{id}/cancel", { state: "canceled" });
export const retryJob = (id: string) =>
  change(id, "/v1/jobs/{id}/retry", { state: "queued", label: undefined, ended_at: undefined });
