import { infiniteQueryOptions, type QueryClient, queryOptions } from "@tanstack/react-query";
import { batches as held } from "../live/live";
import { api, body, type Schemas } from "./client";
import type { Ids } from "./jobs";
import { before, type Fresh, freshOf, NONE_FRESH } from "./newest";

export type Batch = Schemas["Batch"];
export type BatchState = Schemas["BatchState"];

const PAGE = 100;

async function page(cursor: string | undefined, signal?: AbortSignal): Promise<Ids> {
  const asked = held.asked();
  const query = { limit: PAGE, ...(cursor && { cursor }) };
  const { data, next_cursor } = body(await api.GET("/v1/batches", { params: { query }, signal }));
  held.put(data, asked);
  return { ids: data.map(({ id }) => id), next: next_cursor ?? null };
}

/** Newest first, ids only: what they stand for is in the live store. */
export const batchesQuery = infiniteQueryOptions({
  queryKey: ["batches", "list"],
  queryFn: ({ pageParam, signal }) => page(pageParam, signal),
  initialPageParam: undefined as string | undefined,
  getNextPageParam: (last) => last.next ?? undefined,
  meta: { live: "topic" },
});

/** Puts the newest before what is loaded. `held`: nothing moves, and they are counted. */
export async function lookForBatches(queries: QueryClient, held = false): Promise<Fresh> {
  const { queryKey } = batchesQuery;
  const newest = await page(undefined);
  const data = queries.getQueryData(queryKey);
  if (!data) return NONE_FRESH;
  if (held)
    return freshOf(
      data,
      newest,
      ({ ids }) => ids,
      ({ next }) => next === null,
    );
  const joined = before(
    data,
    newest,
    ({ ids }) => ids,
    (now, first) => ({
      ids: [...new Set([...now.ids, ...first.ids])],
      next: first.ids.length > 0 ? first.next : now.next,
    }),
  );
  if (joined) queries.setQueryData(queryKey, joined);
  else await queries.resetQueries({ queryKey });
  return NONE_FRESH;
}

/** One batch. Its state comes live; its times and counts are read anew when that changes (`rev`). */
export const batchQuery = (id: string, rev: number) =>
  queryOptions({
    queryKey: ["batches", "one", id, rev],
    queryFn: async ({ signal }): Promise<Batch> => {
      const asked = held.asked();
      const batch = body(await api.GET("/v1/batches/{id}", { params: { path: { id } }, signal }));
      held.put([batch], asked);
      return batch;
    },
    meta: { live: "topic" },
  });

/** Not over yet: with us or at Anthropic. */
export const inFlight = (state: BatchState): boolean =>
  state !== "ingested" && state !== "refuted" && state !== "rejected";

/** A live row brings the state alone: whether what belongs to it has not been read yet. */
export function incomplete(batch: Batch): boolean {
  switch (batch.state) {
    case "in_progress":
    case "canceling":
      return batch.created_at === null;
    case "ended":
      return batch.ended_at === null;
    case "ingested":
      return batch.ingested_at === null || batch.counts === null;
    default:
      return false;
  }
}
