import { infiniteQueryOptions, keepPreviousData, queryOptions } from "@tanstack/react-query";
import { type FilterOf, printFilter } from "../lib/filter";
import { jobs as held } from "../live/live";
import { api, body, type Schemas } from "./client";

export type Job = Schemas["Job"];
export type JobState = Schemas["JobState"];
export type JobResult = Schemas["JobResult"];
export type Attempts = Schemas["Attempts"];
export type Attempt = Schemas["Attempt"];

export const JOB_STATES = ["queued", "submitted", "processing", "completed", "failed", "canceled"] as const;

type Failure = Schemas["FailureLabel"];

/** Each label of the API's list, and no other: else this is no valid type. */
const EVERY_FAILURE: Record<Failure, true> = {
  invalid_request: true,
  schema_invalid: true,
  truncated: true,
  refused: true,
  context_exceeded: true,
  paused: true,
  rejected_alone: true,
  too_many_tries: true,
  result_missing: true,
  result_unreadable: true,
  outcome_unknown: true,
  deadline_missed: true,
  internal: true,
};

/** Why a job can fail. */
export const FAILURES = Object.keys(EVERY_FAILURE) as Failure[];

export const JOB_FILTER = {
  state: { list: JOB_STATES },
  type: "text",
  group: "text",
  user: "text",
  model: "text",
  label: { one: FAILURES },
  batch: "text",
  since: "time",
  until: "time",
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

/** With its source: numbers that do not fit a float are shown from there. */
async function sourceOf(
  path: "/v1/jobs/{id}/result" | "/v1/jobs/{id}/request",
  id: string,
  signal: AbortSignal,
): Promise<string> {
  return body(await api.GET(path, { params: { path: { id } }, signal, parseAs: "text" }));
}

export const resultQuery = (id: string, rev: number) =>
  queryOptions({
    queryKey: ["jobs", "result", id, rev],
    queryFn: async ({ signal }): Promise<{ result: JobResult; source: string }> => {
      const source = await sourceOf("/v1/jobs/{id}/result", id, signal);
      return { result: JSON.parse(source) as JobResult, source };
    },
    placeholderData: keepPreviousData,
  });

/** What it asks Anthropic, byte for byte. It never changes. */
export const requestQuery = (id: string) =>
  queryOptions({
    queryKey: ["jobs", "request", id],
    queryFn: ({ signal }) => sourceOf("/v1/jobs/{id}/request", id, signal),
    staleTime: Number.POSITIVE_INFINITY,
  });

/** Everything that was tried for it. Its times are also those of its batch, whose row has a `rev` too. */
export const attemptsQuery = (id: string, rev: number, batchRev: number) =>
  queryOptions({
    queryKey: ["jobs", "attempts", id, rev, batchRev],
    queryFn: async ({ signal }): Promise<Attempts> =>
      body(await api.GET("/v1/jobs/{id}/attempts", { params: { path: { id } }, signal })),
    placeholderData: keepPreviousData,
    meta: { live: "topic" },
  });

/** What may be done with a job, by its state: the one place that says so. */
export const can = {
  cancel: (job: Job) => !hasEnded(job.state),
  /** A completed one too, but that is paid again and hides its answer: not from a list. */
  retry: (job: Job) => job.state === "failed" || job.state === "canceled",
};

export const hasEnded = (state: JobState) =>
  state === "completed" || state === "failed" || state === "canceled";

export type Action = keyof typeof can;
export type NotDone = Schemas["NotDone"];

/** What becomes of a job with which that is done. */
const BECOMES: Record<Action, Partial<Job>> = {
  cancel: { state: "canceled", detail: undefined },
  retry: {
    state: "queued",
    label: undefined,
    reason: undefined,
    ended_at: undefined,
    stop_reason: undefined,
    usage: undefined,
    cost: undefined,
    cost_sync: undefined,
  },
};

/** As many as the API takes in one call. */
export const MANY = 1000;

/** In one transaction: all of them are done, but those of which it says why not. The glyphs change at once,
 *  and back where the server says no. */
export async function changeJobs(action: Action, ids: readonly string[]): Promise<NotDone[]> {
  const asked = held.asked();
  const now = BECOMES[action];
  const undo = ids.map((id) => held.expect(id, now));
  try {
    const request = { body: { ids: [...ids] } };
    const { not_done } =
      action === "cancel"
        ? body(await api.POST("/v1/jobs/cancel", request))
        : body(await api.POST("/v1/jobs/retry", request));
    const left = new Set(not_done.map(({ id }) => id));
    const jobs = ids.filter((id) => !left.has(id)).map((id) => held.get(id));
    held.put(
      jobs.filter((job) => job !== undefined),
      asked,
    );
    return not_done;
  } finally {
    for (const back of undo) back();
  }
}
