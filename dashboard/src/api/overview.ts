import { keepPreviousData, queryOptions } from "@tanstack/react-query";
import { api, body, type Schemas } from "./client";

export type Overview = Schemas["Overview"];

export const WINDOWS = ["1h", "24h", "7d"] as const;
export type Window = (typeof WINDOWS)[number];

export const overviewQuery = (window: Window) =>
  queryOptions({
    queryKey: ["overview", window],
    queryFn: async ({ signal }): Promise<Overview> =>
      body(await api.GET("/v1/overview", { params: { query: { window } }, signal })),
    placeholderData: keepPreviousData,
    // The counts come live; rates and ages change with time alone.
    refetchInterval: 30_000,
    meta: { live: "topic" },
  });
