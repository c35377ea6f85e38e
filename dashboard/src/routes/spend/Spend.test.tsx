import { screen, waitFor, within } from "@testing-library/react";
import { userEvent } from "@testing-library/user-event";
import { afterEach, expect, it, vi } from "vitest";
import type { UsageTotal } from "../../api/usage";
import { showScreen } from "../../ui/testing";
import { Screen } from "./Spend";

afterEach(() => vi.unstubAllGlobals());

const total = (of: Partial<UsageTotal>): UsageTotal => ({
  attempts: 1,
  unpriced: 0,
  input_tokens: 1000,
  output_tokens: 100,
  cache_write_tokens: 0,
  cache_read_tokens: 0,
  cost: "0",
  cost_sync: "0",
  saved: "0",
  saved_batch: "0",
  saved_cache: "0",
  saved_reuse: "0",
  ...of,
});

const PRICED = total({ attempts: 3, cost: "0.3", cost_sync: "0.6", saved: "0.3", saved_batch: "0.3" });
const UNPRICED = total({ attempts: 2, unpriced: 2 });

const cells = (label: string) =>
  within(screen.getByRole("region", { name: label }))
    .getAllByRole("row")
    .map((row) => [...row.children].map((cell) => cell.textContent));

it("shows the same numbers as chart and table, and never $0 for what has no price", async () => {
  const { asked } = showScreen(Screen, "/spend?from=2026-11-27&to=2026-11-28&by=model", {
    "GET /v1/usage": {
      from: "2026-11-27",
      to: "2026-11-28",
      rows: [
        { day: "2026-11-28", model: "claude-haiku-5-5", total: PRICED },
        { day: "2026-11-28", model: "claude-new-6", total: UNPRICED },
      ],
      total: total({
        attempts: 5,
        unpriced: 2,
        cost: "0.3",
        cost_sync: "0.6",
        saved: "0.3",
        saved_batch: "0.3",
      }),
      as_of: "2026-11-28T12:00:00Z",
    },
  });
  await screen.findByText(/2 attempts have no known price/);
  expect(asked[0]?.query).toEqual({ from: "2026-11-27", to: "2026-11-28", by: "day,model" });
  const day = cells("By day");
  expect(day[1]).toEqual([
    "2026-11-28",
    "claude-haiku-5-5",
    "3",
    "1,000",
    "100",
    "$0.300",
    "$0.600",
    "$0.300",
    "$0.000",
    "$0.000",
  ]);
  expect(day[2]?.slice(5)).toEqual(Array(5).fill("no price"));
  const chart = [...document.querySelectorAll("figcaption tr")].map((row) =>
    [...row.children].map((cell) => cell.textContent),
  );
  expect(chart).toEqual([
    ["", "claude-haiku-5-5", "claude-new-6"],
    ["Nov 27", "$0.000", "$0.000"],
    ["Nov 28", "$0.300", "no price"],
  ]);
  expect(screen.getByRole("link", { name: "CSV" })).toHaveAttribute(
    "href",
    "/v1/usage?from=2026-11-27&to=2026-11-28&by=day,model&format=csv",
  );
});

it("removes a budget only after it was asked about", async () => {
  const user = userEvent.setup();
  const { asked } = showScreen(Screen, "/spend?view=budgets", {
    "GET /v1/budgets": {
      budgets: [
        {
          id: "bgt_01m8gejttve009jga0qhyjv1s4",
          scope: "user",
          name: "ann",
          period: "day",
          limit: "0.004",
          hard: false,
          renews_at: "2026-11-29T00:00:00Z",
          uses: [{ spent: "0.0041", reserved: "0.0005", left: "0" }],
          created_at: "2026-11-28T06:48:18Z",
        },
      ],
      estimates: [
        {
          type: "summarize",
          model: "claude-haiku-5-5",
          jobs: 1,
          estimated: "0.0000415",
          settled: "0.000033",
          deviation_percent: "-25.7",
          correction: "0.981",
        },
      ],
      as_of: "2026-11-28T12:00:00Z",
    },
    "DELETE /v1/budgets/bgt_01m8gejttve009jga0qhyjv1s4": null,
  });
  expect(await screen.findByText(/Exceeded/)).toHaveTextContent("Exceeded · $0.00000 left");
  expect(cells("How far estimates were off")[1]?.[5]).toBe("−25.7 %");
  await user.click(screen.getByRole("button", { name: "Remove User ann" }));
  expect(asked.some(({ method }) => method === "DELETE")).toBe(false);
  await user.click(screen.getByRole("button", { name: "Remove the budget" }));
  await waitFor(() => expect(asked.some(({ method }) => method === "DELETE")).toBe(true));
});
