import { type QueryClient, queryOptions } from "@tanstack/react-query";
import { printFilter } from "../lib/filter";
import { api, body, type Schemas } from "./client";
import { type Action, JOB_FILTER, type JobFilter } from "./jobs";

export type Operation = Schemas["Operation"];
export type OperationPreview = Schemas["OperationPreview"];

/** More than may run at once: nothing that runs is missing. */
const NEWEST = 50;

export const operationsQuery = queryOptions({
  queryKey: ["operations"],
  queryFn: async ({ signal }): Promise<Operation[]> =>
    body(await api.GET("/v1/operations", { params: { query: { limit: NEWEST } }, signal })).data,
  meta: { live: "topic" },
});

/** Every job is never meant by saying nothing. */
function which(filter: JobFilter) {
  const printed = printFilter(JOB_FILTER, filter);
  return Object.keys(printed).length > 0 ? { filter: printed } : { all: true };
}

/** How many jobs it would be; counted anew each time that is asked. */
export const previewQuery = (action: Action, filter: JobFilter) =>
  queryOptions({
    queryKey: ["operations", "preview", action, printFilter(JOB_FILTER, filter)],
    queryFn: async ({ signal }): Promise<OperationPreview> => {
      const request = { action, ...which(filter), dry_run: true };
      const answer = body(await api.POST("/v1/operations", { body: request, signal }));
      if (!("jobs" in answer)) throw new Error("a count was asked for");
      return answer;
    },
    gcTime: 0,
  });

export async function beginOperation(
  queries: QueryClient,
  action: Action,
  filter: JobFilter,
): Promise<Operation> {
  const answer = body(await api.POST("/v1/operations", { body: { action, ...which(filter) } }));
  if ("jobs" in answer) throw new Error("an operation was asked for");
  put(queries, answer);
  return answer;
}

export async function stopOperation(queries: QueryClient, id: string): Promise<Operation> {
  const stopped = body(await api.POST("/v1/operations/{id}/stop", { params: { path: { id } } }));
  put(queries, stopped);
  return stopped;
}

/** Shows it as it stands now. */
function put(queries: QueryClient, operation: Operation): void {
  queries.setQueryData(operationsQuery.queryKey, (all) => [
    operation,
    ...(all ?? []).filter(({ id }) => id !== operation.id),
  ]);
}
