import { queryOptions } from "@tanstack/react-query";
import { api, body, type Schemas } from "./client";

export type JobType = Schemas["JobType"];

export const jobTypesQuery = queryOptions({
  queryKey: ["job-types"],
  queryFn: async ({ signal }): Promise<JobType[]> => body(await api.GET("/v1/job-types", { signal })).data,
});

export type JobTypeRequest = Schemas["JobTypeRequest"];

/** As many as the API gives at once. */
const VERSIONS = 200;

/** Newest first; `more`: there are older ones than these. */
export const versionsQuery = (name: string) =>
  queryOptions({
    queryKey: ["job-types", "versions", name],
    queryFn: async ({ signal }): Promise<{ versions: JobType[]; more: boolean }> => {
      const params = { path: { name }, query: { limit: VERSIONS } };
      const page = body(await api.GET("/v1/job-types/{name}/versions", { params, signal }));
      return { versions: page.data, more: Boolean(page.next_cursor) };
    },
  });

/** A name that exists gets a new version. */
export async function storeJobType(request: JobTypeRequest): Promise<JobType> {
  return body(await api.POST("/v1/job-types", { body: request }));
}
