// What an operator sees and does: counts of every tenant, and the content of none. `operatorQuery`, who it
// is, stands in ./session.

import { type QueryClient, queryOptions } from "@tanstack/react-query";
import { writeSetting } from "../lib/settings";
import { api, body, type Schemas } from "./client";
import { operatorQuery } from "./session";

export type Deployment = Schemas["Deployment"];
export type UpstreamStatus = Schemas["UpstreamStatus"];
export type OperatorIncident = Schemas["OperatorIncident"];
export type TenantRow = Schemas["TenantRow"];
export type TenantRows = Schemas["TenantRows"];
export type TenantDay = Schemas["TenantDay"];

/** Tenants that are read at once, at most. */
const TENANTS = 200;

/** How often it is read while it is in sight: nothing comes live here. */
export const READ_EVERY_MS = 15_000;
const AGAIN = { refetchInterval: READ_EVERY_MS, refetchOnWindowFocus: true, staleTime: 5_000 } as const;

export const deploymentQuery = queryOptions({
  queryKey: ["operator", "overview"],
  queryFn: async ({ signal }): Promise<Deployment> =>
    body(await api.GET("/v1/operator/overview", { signal })),
  ...AGAIN,
});

/** `q`: only those whose name holds it. */
export const tenantsQuery = (q: string) =>
  queryOptions({
    queryKey: ["operator", "tenants", q],
    queryFn: async ({ signal }): Promise<TenantRows> => {
      const query = { limit: TENANTS, ...(q && { q }) };
      return body(await api.GET("/v1/operator/tenants", { params: { query }, signal }));
    },
    ...AGAIN,
  });

/** The last 31 days of a tenant, those with anything in them. */
export const spendQuery = (id: string) =>
  queryOptions({
    queryKey: ["operator", "spend", id],
    queryFn: async ({ signal }): Promise<TenantDay[]> =>
      body(await api.GET("/v1/operator/tenants/{id}/spend", { params: { path: { id } }, signal })).data,
    refetchOnWindowFocus: true,
  });

export async function makeTenant(name: string): Promise<Schemas["NewTenant"]> {
  return body(await api.POST("/v1/operator/tenants", { body: { name } }));
}

export async function setWeight(id: string, weight: number): Promise<void> {
  await api.PATCH("/v1/operator/tenants/{id}", { params: { path: { id } }, body: { weight } });
}

export async function inviteTo(
  tenant: string,
  invitation: Schemas["Invitation"],
): Promise<Schemas["Invited"]> {
  const params = { path: { id: tenant } };
  return body(await api.POST("/v1/operator/tenants/{id}/people", { params, body: invitation }));
}

export async function resolveIncident(id: string): Promise<void> {
  await api.POST("/v1/operator/incidents/{id}/resolve", { params: { path: { id } } });
}

/** A session of that tenant, which reads: as a cookie, in the place of what was there. */
export async function lookAt(id: string, reason: string): Promise<void> {
  await api.POST("/v1/operator/tenants/{id}/look", { params: { path: { id } }, body: { reason } });
  writeSetting("signedIn", "yes");
}

/** What was seen is not there for who comes next. */
export async function signOutOperator(queries: QueryClient): Promise<void> {
  await api.DELETE("/v1/operator/session");
  writeSetting("operator", undefined);
  queries.setQueryData(operatorQuery.queryKey, null);
  queries.removeQueries({ queryKey: ["operator"] });
}
