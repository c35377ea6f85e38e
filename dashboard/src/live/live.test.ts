import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { components } from "../api/schema";
import { createLive, type Page } from "./live";
import { FakeSocket, fakeWorld, paint, row, showTab } from "./testing";

type Job = components["schemas"]["Job"];
const job = (id: string): Job => ({
  id,
  state: "queued",
  model: "m",
  lane: "batch",
  priority: "normal",
  created_at: "2026-11-28T11:00:00Z",
  expected_by: null,
  attempt: 1,
});

let end: (() => void) | undefined;
let page: { [K in keyof Page]: ReturnType<typeof vi.fn<Page[K]>> };

function begin() {
  const live = createLive();
  page = {
    refresh: vi.fn(async () => {}),
    probe: vi.fn(async (): Promise<"ok" | "signed_out" | "down"> => "ok"),
  };
  end = live.start(page);
  const phase = () => live.connection.current().phase;
  return { live, phase };
}

/** Connected, and live. */
async function connected() {
  const world = begin();
  FakeSocket.last.hello();
  await vi.advanceTimersByTimeAsync(0);
  return world;
}

beforeEach(fakeWorld);
afterEach(() => {
  end?.();
  end = undefined;
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("connecting", () => {
  it("says hello first, and is live once what a topic keeps right was read", async () => {
    const { live, phase } = begin();
    expect(FakeSocket.last.url).toMatch(/^ws.*\/v1\/live$/);
    expect(FakeSocket.last.protocol).toBe("offpeak.live.v1");
    expect(phase()).toBe("connecting");
    FakeSocket.last.hello("e.7");
    expect(FakeSocket.last.said[0]).toEqual({
      t: "hello",
      mode: "view",
      topics: ["jobs", "batches", "usage"],
    });
    expect(page.refresh).toHaveBeenCalledExactlyOnceWith("topic");
    expect(phase()).toBe("connecting");
    await vi.advanceTimersByTimeAsync(0);
    expect(live.connection.current()).toMatchObject({ phase: "live", asOf: undefined });
  });

  it("gives up on a server that does not greet", async () => {
    begin();
    FakeSocket.last.open();
    await vi.advanceTimersByTimeAsync(15_000 + 500);
    expect(FakeSocket.all).toHaveLength(2);
  });
});

describe("rows", () => {
  it("is applied once a frame, folded, and then acknowledged", async () => {
    const { live } = await connected();
    live.jobs.put([job("a"), job("b")], live.jobs.asked());
    const changed = vi.fn();
    live.jobs.subscribe("a", changed);
    const socket = FakeSocket.last;
    socket.rows("e.2", row("a", 2, "submitted"));
    socket.rows("e.3", row("a", 3, "processing"), row("b", 3, "submitted"));
    socket.rows("e.4", row("a", 4, "completed"));
    expect(changed).not.toHaveBeenCalled();
    expect(socket.said.filter(({ t }) => t === "ack")).toEqual([]);
    paint();
    expect(changed).toHaveBeenCalledTimes(1);
    expect(live.jobs.get("a")?.state).toBe("completed");
    expect(live.jobs.get("b")?.state).toBe("submitted");
    expect(socket.said.filter(({ t }) => t === "ack")).toEqual([{ t: "ack", cursor: "e.4" }]);
  });

  it("is applied once a second in a hidden tab", async () => {
    const { live } = await connected();
    live.jobs.put([job("a")], live.jobs.asked());
    showTab(false);
    FakeSocket.last.rows("e.2", row("a", 2, "submitted"));
    paint();
    expect(live.jobs.get("a")?.state).toBe("queued");
    await vi.advanceTimersByTimeAsync(1000);
    expect(live.jobs.get("a")?.state).toBe("submitted");
  });

  it("is not lost when the tab is hidden before the frame comes", async () => {
    const { live } = await connected();
    live.jobs.put([job("a")], live.jobs.asked());
    FakeSocket.last.rows("e.2", row("a", 2, "submitted"));
    showTab(false);
    await vi.advanceTimersByTimeAsync(1000);
    expect(live.jobs.get("a")?.state).toBe("submitted");
  });

  it("is read anew instead when more waits than can be worth it", async () => {
    const { live } = await connected();
    const many = Array.from({ length: 10_001 }, (_, n) => row(`j${n}`, n + 2, "queued"));
    FakeSocket.last.rows("e.9", ...many);
    expect(page.refresh).toHaveBeenLastCalledWith("all");
    expect(live.connection.current().phase).toBe("catching_up");
    await vi.advanceTimersByTimeAsync(0);
    expect(live.connection.current().phase).toBe("live");
  });

  it("passes counts on", async () => {
    const { live } = await connected();
    const counts = { queued: 1, submitted: 2, processing: 0, completed: 3, failed: 0, canceled: 0 };
    FakeSocket.last.frame({ t: "counts", jobs: counts });
    FakeSocket.last.frame({ t: "counts", groups: { grp_a: counts } });
    paint();
    expect(live.counts.current()).toMatchObject({ jobs: counts, groups: { grp_a: counts } });
    expect(FakeSocket.last.said.some(({ t }) => t === "ack")).toBe(false);
  });
});

describe("a connection that is lost", () => {
  it("goes on from what was applied, with full jitter", async () => {
    const { live, phase } = await connected();
    FakeSocket.last.rows("e.5", row("a", 5, "queued"));
    paint();
    FakeSocket.last.cut();
    expect(phase()).toBe("reconnecting");
    expect(live.connection.current().asOf).toBe(Date.now());
    // Math.random() is 1: each wait is the longest there is.
    for (const wait of [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]) {
      const before = FakeSocket.all.length;
      await vi.advanceTimersByTimeAsync(wait - 1);
      expect(FakeSocket.all, `after ${wait} ms`).toHaveLength(before);
      await vi.advanceTimersByTimeAsync(1);
      expect(FakeSocket.all, `after ${wait} ms`).toHaveLength(before + 1);
      page.probe.mockResolvedValue("down");
      if (wait < 30_000) FakeSocket.last.cut();
      else break;
    }
    FakeSocket.last.hello("e.9");
    expect(FakeSocket.last.said[0]).toMatchObject({ t: "hello", cursor: "e.5" });
    expect(phase()).toBe("live");
    expect(live.connection.current().asOf).toBeUndefined();
  });

  it("is noticed after 45 s of silence, and a beat is no silence", async () => {
    const { live, phase } = await connected();
    await vi.advanceTimersByTimeAsync(40_000);
    FakeSocket.last.frame({ t: "beat", cursor: "e.1" });
    const last = Date.now();
    await vi.advanceTimersByTimeAsync(44_999);
    expect(phase()).toBe("live");
    await vi.advanceTimersByTimeAsync(1);
    expect(phase()).toBe("reconnecting");
    expect(live.connection.current().asOf).toBe(last);
  });

  it.each(["online", "focus"])("comes back at once on %s", async (event) => {
    await connected();
    page.probe.mockResolvedValue("down");
    for (let n = 0; n < 5; n += 1) {
      FakeSocket.last.cut();
      await vi.advanceTimersByTimeAsync(30_000);
    }
    FakeSocket.last.cut();
    const before = FakeSocket.all.length;
    dispatchEvent(new Event(event));
    expect(FakeSocket.all).toHaveLength(before + 1);
  });

  it("keeps away for as long as the server asked", async () => {
    await connected();
    FakeSocket.last.frame({ t: "bye", why: "restarting", cursor: "e.8", retry_ms: 2500 });
    FakeSocket.last.cut(1012);
    dispatchEvent(new Event("focus"));
    await vi.advanceTimersByTimeAsync(2499);
    expect(FakeSocket.all).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(FakeSocket.all).toHaveLength(2);
    FakeSocket.last.open();
    expect(FakeSocket.last.said[0]).toMatchObject({ cursor: "e.8" });
  });

  it("says so when the session is over, and does not come back", async () => {
    const { phase } = await connected();
    FakeSocket.last.frame({ t: "bye", why: "unauthenticated", cursor: "e.2" });
    FakeSocket.last.cut(4401);
    expect(phase()).toBe("signed_out");
    await vi.advanceTimersByTimeAsync(120_000);
    expect(FakeSocket.all).toHaveLength(1);
  });

  it("asks over HTTP why it was refused", async () => {
    const { phase } = begin();
    page.probe.mockResolvedValue("signed_out");
    FakeSocket.last.cut();
    await vi.advanceTimersByTimeAsync(0);
    expect(phase()).toBe("signed_out");
  });

  it("names what can be done about too many", async () => {
    const { live } = await connected();
    FakeSocket.last.cut(4429);
    expect(live.connection.current()).toMatchObject({
      phase: "reconnecting",
      problem: "Too many connections: close other offpeak tabs.",
    });
  });

  it("stops where coming back is of no use", async () => {
    const { phase } = await connected();
    FakeSocket.last.cut(4400);
    expect(phase()).toBe("stopped");
    await vi.advanceTimersByTimeAsync(120_000);
    expect(FakeSocket.all).toHaveLength(1);
  });
});

describe("a proxy that lets no socket through", () => {
  it("is polled around, and a socket that comes through ends that", async () => {
    const { live, phase } = begin();
    for (const wait of [500, 1000, 2000]) {
      FakeSocket.last.cut();
      await vi.advanceTimersByTimeAsync(wait);
    }
    expect(phase()).toBe("polling");
    page.refresh.mockClear();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(page.refresh).toHaveBeenCalledWith("all");
    expect(live.connection.current().asOf).toBeGreaterThan(0);
    FakeSocket.last.hello("e.9");
    await vi.advanceTimersByTimeAsync(0);
    expect(phase()).toBe("live");
    page.refresh.mockClear();
    await vi.advanceTimersByTimeAsync(30_000);
    expect(page.refresh).not.toHaveBeenCalled();
  });
});

describe("resync", () => {
  it("reads everything anew, and takes rows with lower numbers after it", async () => {
    const { live, phase } = await connected();
    live.jobs.put([job("a")], live.jobs.asked());
    FakeSocket.last.rows("e.900", row("a", 900, "submitted"));
    paint();
    FakeSocket.last.frame({ t: "resync", why: "epoch", cursor: "f.1" });
    expect(phase()).toBe("catching_up");
    expect(page.refresh).toHaveBeenLastCalledWith("all");
    await vi.advanceTimersByTimeAsync(0);
    expect(phase()).toBe("live");
    FakeSocket.last.rows("f.2", row("a", 2, "completed"));
    paint();
    expect(live.jobs.get("a")?.state).toBe("completed");
  });
});

describe("what is on the screen", () => {
  it("is watched once it has settled, at most 200, the newest part first, and again after a reconnect", async () => {
    const { live } = await connected();
    const said = () => FakeSocket.last.said.filter(({ t }) => t === "watch");
    const [list, panel] = [Symbol("list"), Symbol("panel")];
    live.watch(list, ["x"]);
    live.watch(
      list,
      Array.from({ length: 250 }, (_, n) => `j${n}`),
    );
    live.watch(panel, ["open"]);
    expect(said()).toEqual([]);
    await vi.advanceTimersByTimeAsync(150);
    expect(said()).toHaveLength(1);
    const [first] = said();
    expect(first).toMatchObject({ t: "watch" });
    expect(first && "jobs" in first && [first.jobs.length, first.jobs[0], first.jobs[1]]).toEqual([
      200,
      "open",
      "j0",
    ]);
    live.watch(panel, ["open"]);
    await vi.advanceTimersByTimeAsync(150);
    expect(said(), "nothing has changed").toHaveLength(1);
    FakeSocket.last.cut();
    await vi.advanceTimersByTimeAsync(500);
    FakeSocket.last.hello();
    expect(said()).toHaveLength(1);
  });
});

describe("topics", () => {
  it("begins anew where it was, and never looks lost", async () => {
    const { live, phase } = await connected();
    const forget = live.topic("group:grp_a");
    const twice = live.topic("group:grp_a");
    await vi.advanceTimersByTimeAsync(150);
    expect(FakeSocket.all).toHaveLength(2);
    expect(phase()).toBe("live");
    FakeSocket.last.hello("e.1");
    expect(FakeSocket.last.said[0]).toMatchObject({
      topics: ["jobs", "batches", "usage", "group:grp_a"],
      cursor: "e.1",
    });
    twice();
    await vi.advanceTimersByTimeAsync(150);
    expect(FakeSocket.all, "somebody has it still").toHaveLength(2);
    forget();
    await vi.advanceTimersByTimeAsync(150);
    expect(FakeSocket.all).toHaveLength(3);
  });
});

describe("a hidden tab", () => {
  it("lets go after five minutes, and comes back when it is shown", async () => {
    const { phase } = await connected();
    const beat = setInterval(() => FakeSocket.last.frame({ t: "beat", cursor: "e.1" }), 20_000);
    showTab(false);
    await vi.advanceTimersByTimeAsync(5 * 60_000 - 1);
    expect(phase()).toBe("live");
    await vi.advanceTimersByTimeAsync(1);
    clearInterval(beat);
    expect(phase()).toBe("paused");
    expect(FakeSocket.last.readyState).toBe(3);
    showTab(true);
    expect(FakeSocket.all).toHaveLength(2);
    FakeSocket.last.hello();
    expect(phase()).toBe("live");
  });
});

describe("holding", () => {
  it("keeps everything as it is until it is resumed, and then goes on where it was", async () => {
    const { live, phase } = await connected();
    live.jobs.put([job("job_1")], live.jobs.asked());
    FakeSocket.last.rows("e.2", row("job_1", 2, "submitted"));
    const held = FakeSocket.last;
    expect(live.hold()).toBe(true);
    expect(live.jobs.get("job_1")?.state, "what had come is shown").toBe("submitted");
    expect(live.connection.current()).toMatchObject({ phase: "held", asOf: Date.now() });
    expect(held.readyState).toBe(3);
    window.dispatchEvent(new Event("focus"));
    window.dispatchEvent(new Event("online"));
    await vi.advanceTimersByTimeAsync(20 * 60_000);
    expect(FakeSocket.all, "nothing dials meanwhile").toHaveLength(1);
    live.resume();
    FakeSocket.last.hello("e.9");
    expect(FakeSocket.last.said[0]).toMatchObject({ cursor: "e.2" });
    expect(phase()).toBe("live");
  });

  it("holds only what is right", () => {
    const { live, phase } = begin();
    expect(live.hold()).toBe(false);
    expect(phase()).toBe("connecting");
  });
});

describe("another version", () => {
  it("is noticed after a restart", async () => {
    const { live } = await connected();
    FakeSocket.last.cut();
    await vi.advanceTimersByTimeAsync(500);
    FakeSocket.last.hello("e.1", "2");
    expect(live.connection.current().updated).toBe(true);
  });
});
