// Everything that matches: counted first, done by the server, shown until its outcome was read.

import { QueryClientProvider } from "@tanstack/react-query";
import { act, render, screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Operation } from "../../api/operations";
import { live } from "../../live/live";
import { signedIn } from "../../ui/testing";
import { AllMatching } from "./AllMatching";
import { Operations } from "./Operations";

const operation = (id: string, more: Partial<Operation> = {}): Operation => ({
  id,
  action: "cancel",
  state: "running",
  filter: { state: "queued,submitted,processing", user: "ada" },
  by: "ofp_live_…x7k2",
  expected: 5000,
  all_counted: true,
  matched: 0,
  done: 0,
  left: 0,
  created_at: "2026-11-28T11:00:00Z",
  ...more,
});
const ended = (more: Partial<Operation> = {}): Partial<Operation> => ({
  state: "done",
  ended_at: new Date().toISOString(),
  ...more,
});

/** The server: its operations, newest first, what a dry run answers, and what it was sent. */
let stored: Operation[];
let preview: Response;
let sent: { path: string; body: unknown }[];

const json = (body: unknown, status = 200) =>
  new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json" } });

async function serve(request: Request): Promise<Response> {
  const { pathname: path } = new URL(request.url);
  if (request.method === "GET") return json({ data: stored, next_cursor: null });
  const text = await request.text();
  const body = text === "" ? undefined : JSON.parse(text);
  sent.push({ path, body });
  const stops = /^\/v1\/operations\/(op_\w+)\/stop$/.exec(path);
  if (stops) {
    stored = stored.map((one) => (one.id === stops[1] ? { ...one, ...ended({ state: "stopped" }) } : one));
    return json(stored.find(({ id }) => id === stops[1]));
  }
  if (body.dry_run) return preview.clone();
  stored = [operation("op_new", { action: body.action }), ...stored];
  return json(stored[0], 202);
}

function show(what: React.ReactNode) {
  render(<QueryClientProvider client={signedIn()}>{what}</QueryClientProvider>);
}

const came = (id: string, rev: number, state: Operation["state"]) =>
  act(() => void live.operations.apply([{ id, rev, state, at: "2026-11-28T11:00:01Z" }]));

beforeEach(() => {
  stored = [];
  sent = [];
  preview = json({ jobs: 5000, all_counted: true });
  vi.stubGlobal("fetch", vi.fn(serve));
});
afterEach(() => {
  live.operations.clear();
  vi.unstubAllGlobals();
});

describe("everything that matches", () => {
  const bar = (props: Partial<Parameters<typeof AllMatching>[0]> = {}) => (
    <AllMatching
      filter={{ user: "ada" }}
      loaded={100}
      all={true}
      onAll={() => {}}
      onEnd={() => {}}
      {...props}
    />
  );

  it("is offered where all loaded rows are selected, by button and key", async () => {
    const user = userEvent.setup();
    const onAll = vi.fn();
    show(bar({ all: false, onAll }));
    await user.click(screen.getByRole("button", { name: "Select all that match this filter" }));
    await user.keyboard("{Shift>}A{/Shift}");
    expect(onAll.mock.calls).toEqual([[true], [true]]);
    expect(sent).toEqual([]);
  });

  it("asks with the server's count and what a cancel costs, and begins after the word", async () => {
    const user = userEvent.setup();
    const onEnd = vi.fn();
    show(bar({ onEnd }));
    await user.keyboard("c");
    const dialog = await screen.findByRole("dialog", { name: "Cancel 5,000 jobs?" });
    expect(dialog).toHaveTextContent("Every job that has not ended, of those that match user:ada.");
    expect(dialog).toHaveTextContent("at Anthropic already ends there and is paid for");
    const action = within(dialog).getByRole("button", { name: "Cancel 5,000 jobs" });
    expect(action).toBeDisabled();
    await user.type(within(dialog).getByRole("textbox"), "cancel");
    await user.click(action);
    await vi.waitFor(() => expect(onEnd).toHaveBeenCalled());
    const asked = { action: "cancel", filter: { user: "ada" } };
    expect(sent.map(({ body }) => body)).toEqual([{ ...asked, dry_run: true }, asked]);
  });

  it("says so where not all were counted, and means everything only aloud", async () => {
    const user = userEvent.setup();
    preview = json({ jobs: 100_000, all_counted: false });
    show(bar({ filter: {} }));
    await user.click(screen.getByRole("button", { name: "Retry all" }));
    const dialog = await screen.findByRole("dialog", { name: "Retry at least 100,000 jobs?" });
    expect(dialog).toHaveTextContent("Every failed or canceled job of yours.");
    expect(sent).toEqual([{ path: "/v1/operations", body: { action: "retry", all: true, dry_run: true } }]);
  });

  it("does nothing where nothing can be done, and tells what the server refuses", async () => {
    const user = userEvent.setup();
    preview = json({ jobs: 0, all_counted: true });
    show(bar());
    await user.click(screen.getByRole("button", { name: "Cancel all" }));
    expect(await screen.findByText("All jobs that match have ended already.")).toBeInTheDocument();
    await user.click(screen.getByRole("button", { name: "Back" }));
    preview = json(
      {
        status: 422,
        code: "invalid_input",
        title: "Wrong",
        detail: "/filter/state: asks for jobs that have ended",
      },
      422,
    );
    await user.click(screen.getByRole("button", { name: "Cancel all" }));
    expect(await screen.findByRole("alert")).toHaveTextContent("asks for jobs that have ended");
    expect(screen.queryByRole("button", { name: /^Cancel .* jobs?$/ })).toBeNull();
  });
});

describe("what the server does", () => {
  it("shows one that runs, comes further as it is told, and ends with its outcome", async () => {
    const user = userEvent.setup();
    stored = [operation("op_1", { matched: 1000, done: 1000 })];
    show(<Operations />);
    const line = await screen.findByRole("region", { name: "Cancel user:ada" });
    expect(line).toHaveTextContent("Canceling 1,000 of 5,000 jobs");
    expect(within(line).getByRole("progressbar")).toHaveAttribute("aria-valuenow", "1000");

    stored = [operation("op_1", { matched: 3000, done: 3000 })];
    came("op_1", 7, "running");
    await vi.waitFor(() => expect(line).toHaveTextContent("3,000 of 5,000 jobs"));

    stored = [operation("op_1", { matched: 5000, done: 4999, left: 1, ...ended() })];
    came("op_1", 8, "done");
    await vi.waitFor(() => expect(line).toHaveTextContent("4,999 jobs canceled, 1 other left as it is"), {
      timeout: 4000,
    });
    expect(screen.getByRole("status")).toHaveTextContent("4,999 jobs canceled");
    await user.click(within(line).getByRole("button", { name: "Dismiss" }));
    expect(screen.queryByRole("region")).toBeNull();
  });

  it("shows one that somebody else began, and says why it stopped", async () => {
    show(<Operations />);
    await vi.waitFor(() => expect(fetch).toHaveBeenCalled());
    const problem = "your budget for the day has $0.00 left";
    stored = [
      operation("op_2", {
        action: "retry",
        filter: { state: "failed,canceled" },
        ...ended({ state: "stopped" }),
        problem,
      }),
    ];
    came("op_2", 3, "stopped");
    const line = await screen.findByRole("region", { name: "Retry all jobs" });
    expect(line).toHaveTextContent("Stopped: no job queued again");
    expect(line).toHaveTextContent("Your budget for the day has $0.00 left.");
  });

  it("stops one", async () => {
    const user = userEvent.setup();
    stored = [operation("op_3", { all_counted: false, expected: 100_000, matched: 7, done: 7 })];
    show(<Operations />);
    expect(await screen.findByText("7 of at least 100,000 jobs")).toBeInTheDocument();
    await user.click(screen.getByRole("button", { name: "Stop" }));
    expect(
      await screen.findByText("Stopped: 7 jobs canceled", { selector: "section *" }),
    ).toBeInTheDocument();
    expect(sent).toEqual([{ path: "/v1/operations/op_3/stop", body: undefined }]);
  });

  it("leaves out what ended long before", async () => {
    stored = [operation("op_4", ended({ ended_at: "2026-01-01T00:00:00Z" }))];
    show(<Operations />);
    await vi.waitFor(() => expect(fetch).toHaveBeenCalled());
    expect(screen.queryByRole("region")).toBeNull();
  });
});
