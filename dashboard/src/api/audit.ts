import { infiniteQueryOptions } from "@tanstack/react-query";
import { api, body, type Schemas } from "./client";

export type AuditEntry = Schemas["AuditEntry"];

const PAGE = 25;

/** Whose log: the tenant's, or that of the deployment itself. */
export type Log = "/v1/audit" | "/v1/operator/audit";

export const auditQuery = (log: Log) =>
  infiniteQueryOptions({
    queryKey: ["audit", log],
    queryFn: async ({ pageParam, signal }) => {
      const query = { limit: PAGE, ...(pageParam && { cursor: pageParam }) };
      return body(await api.GET(log, { params: { query }, signal }));
    },
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last) => last.next_cursor ?? undefined,
  });
