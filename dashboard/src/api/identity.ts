import { queryOptions } from "@tanstack/react-query";
import { writeSetting } from "../lib/settings";
import { api, body, type Schemas } from "./client";

export type TenantName = Schemas["TenantName"];

/** How one may sign in, beside a key and a link. */
export const waysQuery = queryOptions({
  queryKey: ["session", "ways"],
  queryFn: async ({ signal }) => body(await api.GET("/v1/session/ways", { signal })),
  staleTime: Number.POSITIVE_INFINITY,
  retry: false,
});

/** Goes to the identity server, which sends the browser back. */
export async function goToServer(): Promise<void> {
  location.assign(body(await api.POST("/v1/session/oidc")).url);
}

/** Back from there, with what stands behind `?`: signed in, or to choose one of several tenants. Once. */
export async function comeBack(search: string): Promise<readonly TenantName[]> {
  const said = new URLSearchParams(search);
  const text = (name: string) => said.get(name) ?? undefined;
  const came = { state: text("state") ?? "", code: text("code"), error: text("error"), iss: text("iss") };
  const answer = body(await api.POST("/v1/session/oidc/callback", { body: came }));
  if ("tenants" in answer) return answer.tenants;
  writeSetting("signedIn", "yes");
  return [];
}

/** Once as well. */
export async function chooseTenant(tenant: string): Promise<void> {
  await api.POST("/v1/session/oidc/tenant", { body: { tenant } });
  writeSetting("signedIn", "yes");
}
