import { queryOptions } from "@tanstack/react-query";
import { api, body, type Schemas } from "./client";

export type OwnUpstream = Schemas["OwnUpstream"];
export type UpstreamKey = Schemas["UpstreamKey"];

/** While a key is being checked it is asked again, until Anthropic has answered. */
export const ownUpstreamQuery = queryOptions({
  queryKey: ["own-upstream"],
  queryFn: async ({ signal }): Promise<OwnUpstream> => body(await api.GET("/v1/upstream", { signal })),
  refetchInterval: ({ state }) => (state.data?.keys.some((key) => key.state === "checking") ? 2_000 : 60_000),
});

/** What the key is stands in this request and nowhere else afterwards. */
export async function setUpstreamKey(request: Schemas["UpstreamKeyRequest"]): Promise<OwnUpstream> {
  return body(await api.PUT("/v1/upstream", { body: request }));
}

export async function removeUpstreamKey(): Promise<OwnUpstream> {
  return body(await api.DELETE("/v1/upstream", { params: { query: { confirm: true } } }));
}
