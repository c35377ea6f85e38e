// What one tenant may take of the deployment: its own view, and the operator's.

import { queryOptions } from "@tanstack/react-query";
import { api, body, type Schemas } from "./client";

export type TenantLimit = Schemas["TenantLimit"];
export type TenantLimits = Schemas["TenantLimits"];
export type TenantLimitsChange = Schemas["TenantLimitsChange"];
export type LimitName = keyof TenantLimitsChange;

export const limitsQuery = queryOptions({
  queryKey: ["limits"],
  queryFn: async ({ signal }): Promise<TenantLimits> => body(await api.GET("/v1/limits", { signal })),
  refetchOnWindowFocus: true,
});

export const tenantLimitsQuery = (id: string) =>
  queryOptions({
    queryKey: ["operator", "limits", id],
    queryFn: async ({ signal }): Promise<TenantLimits> =>
      body(await api.GET("/v1/operator/tenants/{id}/limits", { params: { path: { id } }, signal })),
    refetchOnWindowFocus: true,
  });

/** All of them at once: what is left out is the deployment's again. */
export async function setTenantLimits(id: string, change: TenantLimitsChange): Promise<TenantLimits> {
  const params = { path: { id } };
  return body(await api.PUT("/v1/operator/tenants/{id}/limits", { params, body: change }));
}
