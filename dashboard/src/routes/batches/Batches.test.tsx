import { act, screen, within } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Batch } from "../../api/batches";
import { live } from "../../live/live";
import { showScreen } from "../../ui/testing";
import { Screen } from "./Batches";

const planned: Batch = {
  id: "bat_01m8gffwsye00bgzn1w2afv45x",
  state: "planned",
  upstream_batch: null,
  model: "claude-haiku-5-5",
  items: 35,
  bytes: 7580,
  close_reason: "idle",
  planned_at: "2026-11-28T07:04:10.284694Z",
  sent_at: null,
  created_at: null,
  expires_at: null,
  ended_at: null,
  ingested_at: null,
  counts: null,
  cache: {
    mark: "5m",
    reason: "pays_5m",
    prefix_tokens: 3000,
    predicted_hit_rate: "0.640",
    predicted_cost: "0.01",
    predicted_cost_without: "0.03",
    real_hit_rate: null,
    prime_outcome: null,
    prime_cost: null,
  },
  usual: null,
};

const ingested: Batch = {
  ...planned,
  state: "ingested",
  upstream_batch: "msgbatch_1",
  sent_at: "2026-11-28T07:04:10.327513Z",
  created_at: "2026-11-28T07:04:10.355466Z",
  expires_at: "2026-11-29T07:04:10.355466Z",
  ended_at: "2026-11-28T07:34:10.355466Z",
  ingested_at: "2026-11-28T07:34:13.580558Z",
  counts: { succeeded: 30, errored: 2, canceled: 0, expired: 3 },
  cache: planned.cache && { ...planned.cache, real_hit_rate: "0.712" },
};

beforeEach(() => {
  // happy-dom lays nothing out.
  vi.spyOn(HTMLElement.prototype, "clientHeight", "get").mockReturnValue(340);
  vi.spyOn(HTMLElement.prototype, "clientWidth", "get").mockReturnValue(900);
  vi.spyOn(HTMLElement.prototype, "offsetHeight", "get").mockReturnValue(340);
  vi.spyOn(HTMLElement.prototype, "offsetWidth", "get").mockReturnValue(900);
});
afterEach(() => {
  act(() => live.batches.clear());
  vi.unstubAllGlobals();
});

describe("batches", () => {
  it("invents no progress, and reads the times when a live row has outrun them", async () => {
    let now = planned;
    const { asked } = showScreen(Screen, "/batches", {
      "GET /v1/batches": () => ({ data: [now], next_cursor: null }),
      [`GET /v1/batches/${planned.id}`]: ingested,
    });
    const row = (await screen.findByRole("link", { name: "Planned" })).closest("tr");
    expect(row).toHaveTextContent("Not at Anthropic yet");
    expect(screen.queryByRole("progressbar")).toBeNull();
    now = ingested;
    act(() => {
      live.batches.apply([{ id: planned.id, rev: 9, state: "ingested", at: "2026-11-28T07:34:14Z" }]);
    });
    expect(await screen.findByRole("img", { name: /^Ended after 30 m/ })).toBeInTheDocument();
    const cells = [...(row?.children ?? [])].map(({ textContent }) => textContent);
    expect(cells[0]).toBe("Ingested");
    expect(cells).toContain("5"); // without an answer
    expect(asked.filter(({ path }) => path.endsWith(planned.id))).toHaveLength(1);
  });

  it("shows a batch in full: why, cache hits as expected and real, counts, its jobs", async () => {
    showScreen(Screen, `/batches?id=${ingested.id}`, {
      "GET /v1/batches": { data: [ingested], next_cursor: null },
      [`GET /v1/batches/${ingested.id}`]: ingested,
    });
    const panel = await screen.findByRole("complementary", { name: "Batch" });
    const fact = (name: string) => within(panel).getByText(name, { selector: "dt" }).nextElementSibling;
    expect(await within(panel).findByRole("link", { name: "35 jobs" })).toHaveAttribute(
      "href",
      `/jobs?batch=${ingested.id}`,
    );
    expect(fact("At Anthropic")).toHaveTextContent("msgbatch_1");
    expect(fact("Closed")).toHaveTextContent("For a while no other job came.");
    expect(fact("Hits expected")).toHaveTextContent("64 %");
    expect(fact("Hits")).toHaveTextContent("71 %");
    expect(fact("Expected to save")).toHaveTextContent("$0.02");
    expect(fact("With an answer")).toHaveTextContent("30");
    expect(fact("Not run in time")).toHaveTextContent("3");
  });

  it("says what went wrong", async () => {
    showScreen(Screen, "/batches", {});
    expect(await screen.findByRole("alert")).toHaveTextContent("Not found");
  });
});
