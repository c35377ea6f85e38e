import { act, screen, within } from "@testing-library/react";
import { userEvent } from "@testing-library/user-event";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Group } from "../../api/groups";
import { live } from "../../live/live";
import { range } from "../../parts/Left";
import { showScreen } from "../../ui/testing";
import { Screen } from "./Groups";

const counts = { queued: 20, submitted: 0, processing: 0, completed: 8, failed: 2, canceled: 0 };

const group = (more: Partial<Group> = {}): Group => ({
  id: "grp_01m8gffvqze00bwskzbhdjphhq",
  name: "letters",
  created_at: "2026-11-28T07:04:09.215129Z",
  jobs: 30,
  counts,
  done: false,
  left: null,
  usage: { input_tokens: 45, output_tokens: 45 },
  cost: "0.0000135",
  cost_sync: "0.000027",
  saved: "0.0000135",
  unpriced: 0,
  ...more,
});

beforeEach(() => {
  // happy-dom lays nothing out.
  vi.spyOn(HTMLElement.prototype, "clientHeight", "get").mockReturnValue(340);
  vi.spyOn(HTMLElement.prototype, "clientWidth", "get").mockReturnValue(900);
  vi.spyOn(HTMLElement.prototype, "offsetHeight", "get").mockReturnValue(340);
  vi.spyOn(HTMLElement.prototype, "offsetWidth", "get").mockReturnValue(900);
  HTMLDialogElement.prototype.showModal = function (this: HTMLDialogElement) {
    this.open = true;
  };
});
afterEach(() => {
  act(() => live.counts.set({ groups: {}, jobs: undefined }));
  vi.unstubAllGlobals();
});

const serve = (address: string, answers: Record<string, unknown> = {}) =>
  showScreen(Screen, address, {
    "GET /v1/groups": { data: [group()], next_cursor: null },
    [`GET /v1/groups/${group().id}`]: group(),
    ...answers,
  });

describe("time left", () => {
  it("is no more exact than what it is learned from", () => {
    const minute = 60_000;
    expect(
      (
        [
          [-5, 0.4],
          [0, 12.2],
          [-3, 12],
          [10.4, 25.2],
          [11.9, 12.1],
          [100, 119],
          [90, 200],
          [600, 1000],
        ] as const
      ).map(([from, to]) => range(from * minute, to * minute)),
    ).toEqual([
      "less than a minute",
      "up to 12 min",
      "up to 12 min",
      "10 to 25 min",
      "about 12 min",
      "100 to 119 min",
      "1.5 to 3.5 h",
      "10 to 16.5 h",
    ]);
  });

  const left = (from: number, to: number, late = false) => ({
    from: new Date(Date.now() + from * 60_000).toISOString(),
    to: new Date(Date.now() + to * 60_000).toISOString(),
    batches: 212,
    late,
  });

  it.each([
    [left(10, 25), "10 to 25 min left", "10 to 25 min left, from 212 past batches"],
    [
      left(10, 25, true),
      "10 to 25 min left",
      "10 to 25 min left, from 212 past batches; one batch takes longer than usual",
    ],
    [left(-40, -5, true), "longer than usual", "Longer than usual, from 212 past batches"],
  ])("is told in words", async (left, short, long) => {
    serve(`/groups?id=${group().id}`, {
      "GET /v1/groups": { data: [group({ left })], next_cursor: null },
      [`GET /v1/groups/${group().id}`]: group({ left }),
    });
    const panel = await screen.findByRole("complementary", { name: "Group" });
    expect(await within(panel).findByText(long)).toBeInTheDocument();
    expect(screen.getByRole("link", { name: "letters" }).closest("tr")).toHaveTextContent(short);
  });
});

describe("groups", () => {
  it("counts what comes while somebody reads, and shows it when asked to", async () => {
    const user = userEvent.setup();
    const newer = group({ id: "grp_01m8gffvqze00bwskzbhdjphhr", name: "bills" });
    let all = [group()];
    serve("/groups", { "GET /v1/groups": () => ({ data: all, next_cursor: null }) });
    const row = (await screen.findByRole("link", { name: "letters" })).closest("tr") as HTMLElement;
    await user.pointer({ target: row });
    all = [newer, group({ counts: { ...counts, queued: 10, completed: 18 } })];
    act(() => live.counts.set({ groups: {}, jobs: { ...counts, queued: 21 } }));
    const pill = await screen.findByRole("button", { name: "1 new" });
    expect(row).toHaveTextContent("20 of 30");
    expect(screen.queryByRole("link", { name: "bills" })).toBeNull();
    await user.click(pill);
    expect(await screen.findByRole("link", { name: "bills" })).toBeInTheDocument();
    expect(screen.queryByRole("button", { name: "1 new" })).toBeNull();
  });

  it("counts what has ended, and follows the counts of its topic", async () => {
    serve("/groups");
    const row = (await screen.findByRole("link", { name: "letters" })).closest("tr");
    expect(row).toHaveTextContent("10 of 30");
    act(() => live.counts.set({ groups: { [group().id]: { ...counts, queued: 0, completed: 28 } } }));
    expect(row).toHaveTextContent("30 of 30");
    expect(within(row as HTMLElement).getByRole("img")).toHaveAccessibleName("30 of 30 jobs ended, 2 failed");
  });

  it("says why there is none", async () => {
    serve("/groups", { "GET /v1/groups": { data: [], next_cursor: null } });
    expect(await screen.findByText("No groups yet")).toBeInTheDocument();
  });

  it("opens from the address, leads to its jobs and results, and cancels after asking", async () => {
    const user = userEvent.setup();
    const canceled = group({ counts: { ...counts, queued: 0, canceled: 20 }, done: true });
    const { asked } = serve(`/groups?id=${group().id}`, {
      [`POST /v1/groups/${group().id}/cancel`]: { canceled: 20, group: canceled },
    });
    const panel = await screen.findByRole("complementary", { name: "Group" });
    expect(await within(panel).findByRole("link", { name: "30 jobs" })).toHaveAttribute(
      "href",
      `/jobs?group=${group().id}`,
    );
    expect(within(panel).getByRole("link", { name: "Failed" })).toHaveAttribute(
      "href",
      `/jobs?state=failed&group=${group().id}`,
    );
    expect(within(panel).getByRole("link", { name: "Download as NDJSON" })).toHaveAttribute(
      "href",
      `/v1/groups/${group().id}/results`,
    );
    expect(within(panel).getByRole("link", { name: "as CSV" })).toHaveAttribute(
      "href",
      `/v1/groups/${group().id}/results?format=csv`,
    );
    expect(panel).toHaveTextContent("No estimate yet");
    await user.click(within(panel).getByRole("button", { name: "Cancel jobs" }));
    expect(asked.filter(({ method }) => method === "POST")).toHaveLength(0);
    await user.click(screen.getByRole("button", { name: "Cancel 20 jobs" }));
    expect(await screen.findByText("20 jobs canceled")).toBeInTheDocument();
    expect(panel).toHaveTextContent("30 of 30 jobs ended, 2 failed, 20 canceled");
    expect(within(panel).queryByRole("button", { name: "Cancel jobs" })).toBeNull();
  });
});
