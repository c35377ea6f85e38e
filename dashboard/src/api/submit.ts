import { keepPreviousData, queryOptions } from "@tanstack/react-query";
import { addDollars } from "../lib/money";
import { jobs as held } from "../live/live";
import { api, body, type Schemas, unhurried } from "./client";
import type { Job } from "./jobs";

export type JobRequest = Schemas["JobRequest"];
export type EstimateSum = Schemas["EstimateSum"];
export type JobEstimate = Schemas["JobEstimate"];

/** The API estimates no more at once; the size is ours, so that no answer takes long. */
const AT_ONCE = 100;
const SIZE_AT_ONCE = 4_000_000;

/** What these jobs would cost, as the server says it. Many are asked for in parts and summed exactly. */
export async function estimate(
  requests: readonly JobRequest[],
  signal: AbortSignal,
): Promise<{ total: EstimateSum; first: JobEstimate | undefined }> {
  let total: EstimateSum | undefined;
  let first: JobEstimate | undefined;
  for (const part of parts(requests)) {
    const answer = body(await api.POST("/v1/estimate", { body: { jobs: part }, signal }));
    first ??= answer.jobs[0];
    total = total ? add(total, answer.total) : answer.total;
  }
  if (!total) throw new Error("an estimate of no jobs");
  return { total, first };
}

function parts(requests: readonly JobRequest[]): JobRequest[][] {
  const all: JobRequest[][] = [];
  let size = 0;
  for (const request of requests) {
    const length = JSON.stringify(request.input ?? {}).length;
    const last = all.at(-1);
    if (last && last.length < AT_ONCE && size + length <= SIZE_AT_ONCE) {
      last.push(request);
      size += length;
    } else {
      all.push([request]);
      size = length;
    }
  }
  return all;
}

const add = (a: EstimateSum, b: EstimateSum): EstimateSum => ({
  input_tokens: a.input_tokens + b.input_tokens,
  output_tokens: a.output_tokens + b.output_tokens,
  cost_batch: addDollars(a.cost_batch, b.cost_batch),
  cost_direct: addDollars(a.cost_direct, b.cost_direct),
  cost: addDollars(a.cost, b.cost),
  unpriced: a.unpriced + b.unpriced,
});

/** Names one submission: sent twice, it is stored once. Works without https too, unlike `randomUUID`. */
export const newIdempotencyKey = (): string =>
  `page-${[...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;

export async function submitJob(
  request: JobRequest,
  idempotencyKey: string,
  signal?: AbortSignal,
): Promise<Job> {
  const asked = held.asked();
  const header = { "idempotency-key": idempotencyKey };
  const job = body(
    await api.POST("/v1/jobs", { params: { header }, body: request, signal, fetch: unhurried }),
  );
  held.put([job], asked);
  return job;
}

/** All or nothing: one bad line, and none is stored. */
export async function submitGroup(
  requests: readonly JobRequest[],
  name: string | undefined,
  idempotencyKey: string,
  signal?: AbortSignal,
): Promise<string> {
  const lines = requests.map((request) => `${JSON.stringify(request)}\n`).join("");
  const answer = await api.POST("/v1/jobs/bulk", {
    params: { header: { "idempotency-key": idempotencyKey }, query: name ? { name } : {} },
    headers: { "content-type": "application/x-ndjson" },
    body: {} as JobRequest, // the lines stand in its place
    bodySerializer: () => lines,
    signal,
    fetch: unhurried,
  });
  return body(answer).group;
}

/** A group as it stood; `ended` is how many of its jobs have ended by the live counts: with more it is read again. */
export const followedGroupQuery = (id: string, ended: number) =>
  queryOptions({
    queryKey: ["groups", "followed", id, ended],
    queryFn: async ({ signal }): Promise<Schemas["Group"]> =>
      body(await api.GET("/v1/groups/{id}", { params: { path: { id } }, signal })),
    placeholderData: keepPreviousData,
    meta: { live: "topic" },
  });
