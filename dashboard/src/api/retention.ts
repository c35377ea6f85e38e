import { queryOptions } from "@tanstack/react-query";
import { api, body, type Schemas } from "./client";

export type Retention = Schemas["Retention"];

export const retentionQuery = queryOptions({
  queryKey: ["retention"],
  queryFn: async ({ signal }): Promise<Retention> => body(await api.GET("/v1/retention", { signal })),
});

/** The whole of it: what is left out is as the deployment has it. */
export async function setRetention(request: Schemas["RetentionRequest"]): Promise<Retention> {
  return body(await api.PUT("/v1/retention", { body: request }));
}

/** All that the tenant has, one JSON object a line. */
export const EXPORT = "/v1/export";
