import { queryOptions } from "@tanstack/react-query";
import { api, body, type Schemas } from "./client";

export type Budget = Schemas["Budget"];
export type BudgetUse = Schemas["BudgetUse"];
export type BudgetRequest = Schemas["BudgetRequest"];
export type EstimateError = Schemas["EstimateError"];

export const budgetsQuery = queryOptions({
  queryKey: ["budgets"],
  queryFn: async ({ signal }): Promise<Schemas["Budgets"]> => body(await api.GET("/v1/budgets", { signal })),
  meta: { live: "topic" },
});

export async function setBudget(request: BudgetRequest): Promise<Budget> {
  return body(await api.PUT("/v1/budgets", { body: request }));
}

export async function removeBudget(id: string): Promise<void> {
  await api.DELETE("/v1/budgets/{id}", { params: { path: { id } } });
}
