import { describe, expect, it, vi } from "vitest";
import type { components } from "../api/schema";
import { entities } from "./entities";
import { mergeJob } from "./merge";
import type { JobRow } from "./protocol";
import { row } from "./testing";

type Job = components["schemas"]["Job"];

const job = (id: string, state: Job["state"], more: Partial<Job> = {}): Job => ({
  id,
  state,
  model: "m",
  lane: "batch",
  priority: "normal",
  created_at: "2026-11-28T11:00:00Z",
  expected_by: null,
  attempt: 1,
  ...more,
});

const jobs = () => entities<Job, JobRow>(mergeJob);

describe("rev", () => {
  it("takes a row only if it is newer", () => {
    const store = jobs();
    store.put([job("a", "queued")], store.asked());
    expect(store.apply([row("a", 5, "submitted")])).toEqual(["a"]);
    expect(store.apply([row("a", 5, "queued"), row("a", 4, "queued")])).toEqual([]);
    expect(store.get("a")?.state).toBe("submitted");
    store.apply([row("a", 6, "completed")]);
    expect(store.get("a")?.state).toBe("completed");
    expect(store.rev("a")).toBe(6);
  });

  it("ignores rows of ids that nobody asked for", () => {
    const store = jobs();
    expect(store.apply([row("a", 1, "queued")])).toEqual([]);
    expect(store.get("a")).toBeUndefined();
  });

  it("keeps them where lists come without being watched", () => {
    const store = entities<Job, JobRow>(mergeJob, { keepUnknown: true });
    const asked = store.asked();
    store.apply([row("a", 9, "completed")]);
    store.put([job("a", "queued")], asked);
    expect(store.get("a")?.state).toBe("completed");
  });

  it("begins anew when the numbers may", () => {
    const store = jobs();
    store.put([job("a", "queued")], store.asked());
    store.apply([row("a", 500, "submitted")]);
    store.unsure();
    store.apply([row("a", 3, "completed")]);
    expect(store.get("a")?.state).toBe("completed");
  });
});

describe("an answer and a row that race", () => {
  it("lets the row win over an answer that was asked for before it", () => {
    const store = jobs();
    store.put([job("a", "queued")], store.asked());
    const asked = store.asked();
    store.apply([row("a", 7, "completed")]);
    store.put([job("a", "submitted", { attempt: 3 })], asked);
    expect(store.get("a")).toMatchObject({ state: "completed", attempt: 3 });
  });

  it("lets an answer win that was asked for after it", () => {
    const store = jobs();
    store.put([job("a", "queued")], store.asked());
    store.apply([row("a", 7, "submitted")]);
    store.put([job("a", "completed")], store.asked());
    expect(store.get("a")?.state).toBe("completed");
  });
});

describe("what a row says of a job", () => {
  it("drops what belonged to the state before", () => {
    const ended = job("a", "failed", {
      label: "truncated",
      reason: "…",
      cost: "1",
      cost_sync: "2",
      ended_at: "2026-11-28T11:30:00Z",
    });
    const again = mergeJob(ended, row("a", 2, "queued"));
    expect(again.label).toBeUndefined();
    expect(again.reason).toBeUndefined();
    expect(again.cost).toBeUndefined();
    expect(again.cost_sync).toBeUndefined();
    expect(again.ended_at).toBeUndefined();
    const done = mergeJob(job("a", "submitted", { expected_by: "2026-11-28T13:00:00Z" }), {
      ...row("a", 2, "completed"),
      cost: "0.5",
    });
    expect(done).toMatchObject({ cost: "0.5", ended_at: "2026-11-28T12:00:00Z", expected_by: null });
  });
});

describe("subscribers", () => {
  it("calls those of the changed id alone", () => {
    const store = jobs();
    store.put([job("a", "queued"), job("b", "queued")], store.asked());
    const [a, b] = [vi.fn(), vi.fn()];
    store.subscribe("a", a);
    const forget = store.subscribe("b", b);
    store.apply([row("a", 1, "submitted")]);
    expect(a).toHaveBeenCalledTimes(1);
    expect(b).not.toHaveBeenCalled();
    forget();
    store.apply([row("b", 2, "submitted")]);
    expect(b).not.toHaveBeenCalled();
  });

  it("keeps a value the same until it changes", () => {
    const store = jobs();
    store.put([job("a", "queued")], store.asked());
    const before = store.get("a");
    store.apply([row("b", 1, "submitted")]);
    expect(store.get("a")).toBe(before);
  });
});

describe("what is expected", () => {
  it("is shown at once and taken back", () => {
    const store = jobs();
    store.put([job("a", "queued")], store.asked());
    const undo = store.expect("a", { state: "canceled" });
    expect(store.get("a")?.state).toBe("canceled");
    store.apply([row("a", 3, "submitted")]);
    expect(store.get("a")?.state).toBe("canceled");
    undo();
    expect(store.get("a")?.state).toBe("submitted");
  });
});
