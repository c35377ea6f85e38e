import { infiniteQueryOptions, type QueryClient, queryOptions } from "@tanstack/react-query";
import { at } from "../lib/root";
import { api, body, type Schemas } from "./client";
import { before, type Fresh, freshOf, NONE_FRESH } from "./newest";

export type Group = Schemas["Group"];
export type Counts = Schemas["Counts"];

const PAGE = 100;

async function page(cursor: string | undefined, signal?: AbortSignal) {
  const query = { limit: PAGE, ...(cursor && { cursor }) };
  return body(await api.GET("/v1/groups", { params: { query }, signal }));
}

export const groupsQuery = infiniteQueryOptions({
  queryKey: ["groups", "list"],
  queryFn: ({ pageParam, signal }) => page(pageParam, signal),
  initialPageParam: undefined as string | undefined,
  getNextPageParam: (last) => last.next_cursor ?? undefined,
  meta: { live: "topic" },
});

export const groupQuery = (id: string) =>
  queryOptions({
    queryKey: ["groups", "one", id],
    queryFn: async ({ signal }): Promise<Group> =>
      body(await api.GET("/v1/groups/{id}", { params: { path: { id } }, signal })),
    meta: { live: "topic" },
  });

const byId = (page: Schemas["Page_Group"]) => page.data.map(({ id }) => id);

/** Puts the newest, as they stand now, before what is loaded. `held`: nothing moves, and they are counted. */
export async function lookForGroups(queries: QueryClient, held = false): Promise<Fresh> {
  const { queryKey } = groupsQuery;
  const newest = await page(undefined);
  const data = queries.getQueryData(queryKey);
  if (!data) return NONE_FRESH;
  if (held) {
    putInList(queries, newest.data);
    return freshOf(data, newest, byId, ({ next_cursor }) => !next_cursor);
  }
  const fresh = new Set(byId(newest));
  const joined = before(data, newest, byId, (now, first) => ({
    data: [...now.data, ...first.data.filter(({ id }) => !fresh.has(id))],
    next_cursor: first.data.length > 0 ? first.next_cursor : now.next_cursor,
  }));
  if (joined) queries.setQueryData(queryKey, joined);
  else await queries.resetQueries({ queryKey });
  return NONE_FRESH;
}

/** After a change of one: wherever it is shown. */
export function putGroup(queries: QueryClient, group: Group): void {
  queries.setQueryData(groupQuery(group.id).queryKey, group);
  putInList(queries, [group]);
}

/** In place of what was read of them before; what is not in the list stays out. */
function putInList(queries: QueryClient, groups: readonly Group[]): void {
  const now = new Map(groups.map((group) => [group.id, group]));
  queries.setQueryData(
    groupsQuery.queryKey,
    (data) =>
      data && {
        ...data,
        pages: data.pages.map((page) => ({
          ...page,
          data: page.data.map((one) => now.get(one.id) ?? one),
        })),
      },
  );
}

export const cancelGroup = async (id: string) =>
  body(await api.POST("/v1/groups/{id}/cancel", { params: { path: { id } } }));

export const retryGroup = async (id: string) =>
  body(await api.POST("/v1/groups/{id}/retry", { params: { path: { id } } }));

/** For a link: the browser downloads it with the session's cookie, however long it is. */
export const resultsHref = (id: string, format: "ndjson" | "csv"): string =>
  at(`/v1/groups/${id}/results${format === "csv" ? "?format=csv" : ""}`);

export const unfinished = (counts: Counts): number => counts.queued + counts.submitted + counts.processing;
