import { act, screen, within } from "@testing-library/react";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { Batch } from "../../api/batches";
import type { Job } from "../../api/jobs";
import type { Overview } from "../../api/overview";
import { live } from "../../live/live";
import { showScreen } from "../../ui/testing";
import { Screen } from "./Overview";
import { perTime } from "./rates";

const none = { queued: 0, submitted: 0, processing: 0, completed: 0, failed: 0, canceled: 0 };
const steps = (last: number) => [...Array.from({ length: 59 }, () => 0), last];

const overview = (more: Partial<Overview> = {}): Overview => ({
  as_of: "2026-11-28T07:00:00Z",
  jobs: none,
  waiting_since: null,
  pace: {
    from: "2026-11-28T06:00:00Z",
    step_seconds: 60,
    accepted: steps(0),
    completed: steps(0),
    failed: steps(0),
    canceled: steps(0),
  },
  batches: [],
  spend_today: {
    attempts: 0,
    input_tokens: 0,
    output_tokens: 0,
    cache_write_tokens: 0,
    cache_read_tokens: 0,
    cost: "0",
    cost_sync: "0",
    saved: "0",
  },
  time_to_result: [],
  incidents: [],
  pause: null,
  ...more,
});

const batch: Batch = {
  id: "bat_01m8gffwsye00bgzn1w2afv45x",
  state: "in_progress",
  upstream_batch: "msgbatch_1",
  model: "claude-haiku-5-5",
  items: 80,
  bytes: 7580,
  close_reason: "idle",
  planned_at: "2026-11-28T06:00:00Z",
  sent_at: "2026-11-28T06:00:01Z",
  created_at: "2026-11-28T06:00:02Z",
  expires_at: "2026-11-29T06:00:02Z",
  ended_at: null,
  ingested_at: null,
  counts: null,
  cache: null,
  usual: { p50_seconds: 1800, p90_seconds: 5400, batches: 24 },
};

const busy = overview({
  jobs: { queued: 12, submitted: 80, processing: 0, completed: 1200, failed: 3, canceled: 0 },
  pace: { ...overview().pace, accepted: steps(120), completed: steps(30) },
  batches: [{ state: "in_progress", batches: 1, items: 80 }],
  spend_today: { ...overview().spend_today, attempts: 30, cost: "1.5", cost_sync: "3", saved: "1.5" },
  time_to_result: [
    { type: "summarize", results: 1180, p50_seconds: 600, p95_seconds: 7200 },
    { type: null, results: 4, p50_seconds: null, p95_seconds: null },
  ],
  pause: { reason: "The API key was refused.", until: "2026-11-28T07:01:00Z" },
  incidents: [
    {
      id: "inc_1",
      kind: "batch_overdue",
      at: "2026-11-28T06:59:00Z",
      batch: batch.id,
      detail: "A batch has not ended in time.",
    },
  ],
});

afterEach(() => {
  act(() => {
    live.counts.set({ jobs: undefined });
    live.batches.clear();
    live.jobs.clear();
  });
  vi.unstubAllGlobals();
});

const serve = (first: Overview, address = "/") => {
  let now = first;
  const shown = showScreen(Screen, address, {
    "GET /v1/overview": () => now,
    "GET /v1/batches": { data: first.batches.length > 0 ? [batch] : [], next_cursor: null },
    "GET /v1/jobs": () => ({ data: [job], next_cursor: null }),
  });
  return { ...shown, change: (next: Overview) => (now = next) };
};

const job: Job = {
  id: "job_01m8gffwsye00bgzn1w2afv45x",
  state: "queued",
  model: "claude-haiku-5-5",
  lane: "batch",
  priority: "normal",
  created_at: "2026-11-28T06:59:59Z",
  expected_by: null,
  attempt: 1,
};

describe("the overview", () => {
  it("says what the API says, trouble first", async () => {
    serve(busy);
    const flow = await screen.findByRole("region", { name: "From waiting to done" });
    expect(within(flow).getByRole("link", { name: /Waiting/ })).toHaveTextContent(
      "Waiting122 a minute accepted",
    );
    expect(within(flow).getByRole("link", { name: /At Anthropic/ })).toHaveTextContent("801 batch");
    expect(within(flow).getByRole("link", { name: /Failed/ })).toHaveAttribute("href", "/jobs?state=failed");
    expect(screen.getByRole("alert")).toHaveTextContent("The API key was refused.");
    expect(screen.getByText("batch overdue")).toBeInTheDocument();
    expect(screen.getByText("$1.5000")).toBeInTheDocument();
    expect(screen.getByText("$1.5000 saved").parentElement).toHaveTextContent("50 % of the $3.0000");
    expect(screen.getByRole("cell", { name: "summarize" }).parentElement).toHaveTextContent("10 m2 h");
    expect(screen.getByText(/own params has 4 results/)).toBeInTheDocument();
    const lane = await screen.findByRole("img", { name: /half of 24 like batches ended within 30 m/ });
    expect(lane.closest("a")).toHaveAttribute("href", `/batches?id=${batch.id}`);
  });

  it("follows the live counts", async () => {
    serve(busy);
    await screen.findByText("1,200");
    act(() => live.counts.set({ jobs: { ...busy.jobs, completed: 1280, submitted: 0 } }));
    expect(screen.getByText("1,280")).toBeInTheDocument();
  });

  it("shows the command at first, and the job when it comes", async () => {
    const { change } = serve(overview());
    expect(await screen.findByText(/export OFFPEAK_URL=http/)).toBeInTheDocument();
    change(overview({ jobs: { ...none, queued: 1 } }));
    act(() => live.counts.set({ jobs: { ...none, queued: 1 } }));
    const first = await screen.findByRole("region", { name: "Your first job" });
    expect(within(first).getByRole("link")).toHaveAttribute("href", `/jobs?id=${job.id}`);
    expect(screen.queryByText(/export OFFPEAK_URL/)).toBeNull();
    act(() => {
      live.jobs.apply([{ id: job.id, rev: 5, state: "completed", at: "2026-11-28T07:00:00Z" }]);
    });
    expect(first).toHaveTextContent("Completed");
  });

  it("asks for the window of the address", async () => {
    const { asked } = serve(busy, "/?window=7d");
    await screen.findByText("1,200");
    expect(asked.find(({ path }) => path === "/v1/overview")?.query).toEqual({ window: "7d" });
  });
});

it("says a rate by the unit in which it is at least one", () => {
  expect(perTime(120, 3_600_000)).toBe("2 a minute");
  expect(perTime(30, 3_600_000)).toBe("30 an hour");
  expect(perTime(3, 7 * 86_400_000)).toBe("3 in all");
  expect(perTime(0, 1)).toBe("none");
});
