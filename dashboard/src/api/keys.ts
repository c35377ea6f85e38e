import { queryOptions } from "@tanstack/react-query";
import { api, body, type Schemas } from "./client";

export type Key = Schemas["Key"];
export type NewKey = Schemas["NewKey"];

export const meQuery = queryOptions({
  queryKey: ["me"],
  queryFn: async ({ signal }): Promise<Schemas["Me"]> => body(await api.GET("/v1/me", { signal })),
});

export const keysQuery = queryOptions({
  queryKey: ["keys"],
  queryFn: async ({ signal }): Promise<Key[]> => body(await api.GET("/v1/keys", { signal })).data,
});

/** Its secret is in this answer and nowhere else. */
export async function makeKey(request: Schemas["KeyRequest"]): Promise<NewKey> {
  return body(await api.POST("/v1/keys", { body: request }));
}

/** Another of the same name and scopes; the old one opens the same for `overlap` seconds more. */
export async function rotateKey(id: string, overlap: number): Promise<NewKey> {
  return body(await api.POST("/v1/keys/{id}/rotate", { params: { path: { id } }, body: { overlap } }));
}

export async function revokeKey(id: string): Promise<void> {
  await api.DELETE("/v1/keys/{id}", { params: { path: { id } } });
}

export const originsQuery = queryOptions({
  queryKey: ["live-origins"],
  queryFn: async ({ signal }): Promise<string[]> =>
    body(await api.GET("/v1/live/origins", { signal })).origins,
});

export async function setOrigins(origins: string[]): Promise<string[]> {
  return body(await api.PUT("/v1/live/origins", { body: { origins } })).origins;
}
