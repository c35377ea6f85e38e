import { queryOptions } from "@tanstack/react-query";
import { api, body, type Schemas } from "./client";

export type JobType = Schemas["JobType"];

export const jobTypesQuery = queryOptions({
  queryKey: ["job-types"],
  queryFn: async ({ signal }): Promise<JobType[]> => body(await api.GET("/v1/job-types", { signal })).data,
});
