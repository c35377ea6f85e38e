import { queryOptions } from "@tanstack/react-query";
import { batches as held } from "../live/live";
import { api, body, type Schemas } from "./client";

export type Batch = Schemas["Batch"];
export type BatchState = Schemas["BatchState"];

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
