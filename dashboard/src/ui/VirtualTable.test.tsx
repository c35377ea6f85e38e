import { act, render, screen } from "@testing-library/react";
import { userEvent } from "@testing-library/user-event";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Job } from "../api/jobs";
import { useJob } from "../live/hooks";
import { jobs } from "../live/live";
import { row } from "../live/testing";
import { type Column, VirtualTable } from "./VirtualTable";

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

const IDS = Array.from({ length: 1000 }, (_, n) => `job_${String(n).padStart(4, "0")}`);

const rendered = vi.fn<(id: string) => void>();
const columns: Column<Job>[] = [
  {
    id: "state",
    title: "State",
    track: "1fr",
    cell: (value) => {
      rendered(value.id);
      return `${value.id} ${value.state}`;
    },
  },
  { id: "wide", title: "Wide", track: "1fr", from: 100_000, cell: () => "wide" },
];

type Props = Partial<Parameters<typeof VirtualTable<Job>>[0]>;

const table = (props: Props = {}) => (
  <VirtualTable
    label="Jobs"
    ids={IDS}
    columns={columns}
    useRow={useJob}
    href={(id) => `/jobs?id=${id}`}
    open={undefined}
    onOpen={() => {}}
    {...props}
  />
);

beforeEach(() => {
  // happy-dom lays nothing out: a screen 340 px high, ten rows.
  vi.spyOn(HTMLElement.prototype, "clientHeight", "get").mockReturnValue(340);
  vi.spyOn(HTMLElement.prototype, "clientWidth", "get").mockReturnValue(900);
  jobs.put(IDS.map(job), jobs.asked());
});
afterEach(() => {
  jobs.clear();
  rendered.mockClear();
});

describe("scrolling", () => {
  it("has the rows that are in sight, and scrolls no further than a step needs", async () => {
    const user = userEvent.setup();
    render(table());
    const scroller = document.querySelector("table")?.parentElement;
    if (!scroller) throw new Error("no table");
    const shown = () => [...document.querySelectorAll("tbody tr")].map((tr) => tr.getAttribute("data-id"));
    act(() => {
      scroller.scrollTop = 34 * 500;
      scroller.dispatchEvent(new Event("scroll"));
    });
    expect(shown()).toContain(IDS[500]);
    expect(shown()).toContain(IDS[509]);
    expect(shown()).not.toContain(IDS[0]);
    expect(shown().length).toBeLessThan(30);
    scroller.scrollTop = 0;
    await user.keyboard("jjjjjjjjj");
    expect(scroller.scrollTop, "nine rows fit under the head").toBe(0);
    await user.keyboard("j");
    expect(scroller.scrollTop).toBe(10 * 34 + 32 - 340);
  });
});

describe("a long list", () => {
  it("has only the rows on the screen, and says how many there are", () => {
    render(table());
    expect(screen.getByRole("table").getAttribute("aria-rowcount")).toBe("1001");
    expect(document.querySelectorAll("tbody tr").length).toBeGreaterThanOrEqual(10);
    expect(document.querySelectorAll("tbody tr").length).toBeLessThan(40);
    expect(screen.queryByText("Wide"), "no room for it").toBeNull();
  });

  it("renders only the changed row anew", () => {
    render(table());
    rendered.mockClear();
    act(() => void jobs.apply([row("job_0003", 1, "submitted"), row("job_0900", 1, "submitted")]));
    expect(rendered.mock.calls).toEqual([["job_0003"]]);
    expect(screen.getByText("job_0003 submitted")).toBeInTheDocument();
  });

  it("renders only the row anew that is selected", () => {
    const same = { href: (id: string) => id, onOpen: () => {}, onSelect: () => {} };
    const { rerender } = render(table({ ...same, selected: new Set() }));
    rendered.mockClear();
    rerender(table({ ...same, selected: new Set(["job_0002"]) }));
    expect(rendered.mock.calls).toEqual([["job_0002"]]);
  });

  it("keeps a row that has left the filter, dimmed", () => {
    render(table({ belongs: (value) => value.state === "queued" }));
    act(() => void jobs.apply([row("job_0002", 1, "completed")]));
    const left = document.querySelector('[data-id="job_0002"]');
    expect(left).toHaveAttribute("title", "It has left this filter since");
    expect(document.querySelector('[data-id="job_0001"]')).not.toHaveAttribute("title");
  });

  it("asks for more near the end, and not before", () => {
    const onMore = vi.fn();
    const { rerender } = render(table({ hasMore: true, onMore }));
    expect(onMore).not.toHaveBeenCalled();
    rerender(table({ ids: IDS.slice(0, 25), hasMore: true, onMore }));
    expect(onMore).toHaveBeenCalled();
  });
});

describe("keys", () => {
  it("walks, opens, selects and backs out", async () => {
    const user = userEvent.setup();
    const [onOpen, onSelect] = [vi.fn(), vi.fn()];
    const { rerender } = render(table({ onOpen, onSelect, selected: new Set() }));
    await user.keyboard("jjjk{Enter}");
    expect(onOpen).toHaveBeenLastCalledWith("job_0001");
    await user.keyboard("x");
    expect(onSelect).toHaveBeenLastCalledWith(["job_0001"], true);
    rerender(table({ onOpen, onSelect, selected: new Set(["job_0001"]), open: "job_0001" }));
    await user.keyboard("j");
    expect(onOpen).toHaveBeenLastCalledWith("job_0002");
    await user.keyboard("{Escape}");
    expect(onOpen).toHaveBeenLastCalledWith(undefined);
    rerender(table({ onOpen, onSelect, selected: new Set(["job_0001"]) }));
    await user.keyboard("{Escape}");
    expect(onSelect).toHaveBeenLastCalledWith(["job_0001"], false);
  });

  it("leaves the letters to a field that is typed in", async () => {
    const user = userEvent.setup();
    const onOpen = vi.fn();
    render(
      <>
        <input aria-label="field" />
        {table({ onOpen, open: "job_0001" })}
      </>,
    );
    await user.type(screen.getByLabelText("field"), "jk");
    expect(onOpen).not.toHaveBeenCalled();
    expect(screen.getByLabelText("field")).toHaveValue("jk");
  });

  it("opens with a plain click, and leaves others to the browser", async () => {
    const user = userEvent.setup();
    const onOpen = vi.fn();
    render(table({ onOpen }));
    const link = screen.getByText("job_0004 queued");
    expect(link).toHaveAttribute("href", "/jobs?id=job_0004");
    await user.click(link);
    expect(onOpen).toHaveBeenCalledExactlyOnceWith("job_0004");
    await user.keyboard("{Control>}");
    await user.click(link);
    expect(onOpen).toHaveBeenCalledTimes(1);
  });
});
