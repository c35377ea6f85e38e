import { QueryClientProvider } from "@tanstack/react-query";
import {
  createMemoryHistory,
  createRootRoute,
  createRoute,
  createRouter,
  RouterProvider,
} from "@tanstack/react-router";
import { act, render, screen, within } from "@testing-library/react";
import { userEvent } from "@testing-library/user-event";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Job } from "../../api/jobs";
import { parseSearch, printSearch } from "../../lib/filter";
import { live } from "../../live/live";
import { row } from "../../live/testing";
import { signedIn } from "../../ui/testing";
import { Screen } from "./Jobs";

const job = (nth: number, more: Partial<Job> = {}): Job => ({
  id: `job_${String(nth).padStart(26, "0")}`,
  state: "queued",
  type: "summarize",
  model: "m",
  lane: "batch",
  priority: "normal",
  created_at: "2026-11-28T11:00:00Z",
  expected_by: null,
  attempt: 1,
  ...more,
});

/** The server: the jobs that it has, newest first, and what it was asked. */
let stored: Job[];
let asked: URL[];
let onBody: ((body: unknown) => void) | undefined;
let answer: ((url: URL, method: string) => Response | undefined) | undefined;

const json = (body: unknown, status = 200) =>
  new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json" } });

function serve(request: Request): Response {
  const url = new URL(request.url);
  asked.push(url);
  const special = answer?.(url, request.method);
  if (special) return special;
  if (url.pathname === "/v1/jobs") {
    const states = url.searchParams.get("state")?.split(",");
    const from = Number(url.searchParams.get("cursor") ?? 0);
    const limit = Number(url.searchParams.get("limit"));
    const fitting = stored.filter(({ state }) => !states || states.includes(state));
    const end = from + limit;
    return json({ data: fitting.slice(from, end), next_cursor: end < fitting.length ? String(end) : null });
  }
  if (url.pathname === "/v1/job-types") return json({ data: [], next_cursor: null });
  const [, id] = /^\/v1\/jobs\/(job_\w+)$/.exec(url.pathname) ?? [];
  const found = stored.find((other) => other.id === id);
  if (!found) return json({ status: 404, code: "not_found", title: "Not found", detail: "no such job" }, 404);
  return json(found);
}

function show(address: string) {
  const root = createRootRoute();
  const route = createRoute({
    getParentRoute: () => root,
    path: "/jobs",
    validateSearch: (search: Record<string, unknown>) => search as Record<string, string>,
    component: Screen,
  });
  const history = createMemoryHistory({ initialEntries: [address] });
  const router = createRouter({
    routeTree: root.addChildren([route]),
    history,
    parseSearch,
    stringifySearch: printSearch,
  });
  render(
    <QueryClientProvider client={signedIn()}>
      <RouterProvider router={router} />
    </QueryClientProvider>,
  );
  return { href: () => history.location.href };
}

const counts = (queued: number) => {
  const jobs = { queued, submitted: 0, processing: 0, completed: 0, failed: 0, canceled: 0 };
  act(() => live.counts.set({ jobs }));
};

beforeEach(() => {
  stored = [];
  asked = [];
  answer = onBody = undefined;
  vi.stubGlobal(
    "fetch",
    vi.fn(async (request: Request) => {
      if (request.method === "POST") onBody?.(await request.clone().json());
      return serve(request);
    }),
  );
  vi.spyOn(HTMLElement.prototype, "clientHeight", "get").mockReturnValue(340);
  vi.spyOn(HTMLElement.prototype, "clientWidth", "get").mockReturnValue(900);
});
afterEach(() => {
  live.jobs.clear();
  live.counts.set({ jobs: undefined });
  vi.unstubAllGlobals();
});

describe("the list", () => {
  it("shows what the address filters by, and asks for just that", async () => {
    stored = [job(2), job(1, { state: "failed", label: "truncated" })];
    show("/jobs?state=failed&type=summarize");
    expect(await screen.findByText("truncated", { exact: false })).toBeInTheDocument();
    expect(document.querySelectorAll("tbody tr")).toHaveLength(1);
    const query = asked.find(({ pathname }) => pathname === "/v1/jobs")?.searchParams;
    expect(Object.fromEntries(query ?? [])).toEqual({ state: "failed", type: "summarize", limit: "100" });
  });

  it("filters by failure, batch and time in one address", async () => {
    const user = userEvent.setup();
    stored = [job(1, { state: "failed", label: "truncated" })];
    const { href } = show("/jobs?state=failed,canceled");
    await user.selectOptions(await screen.findByLabelText("Failed as"), "truncated");
    await vi.waitFor(() => expect(href()).toBe("/jobs?label=truncated"));
    const before = Date.now();
    await user.selectOptions(screen.getByLabelText("Accepted"), "Last 24 hours");
    await user.type(screen.getByLabelText("Add a filter"), "batch:bat_1{Enter}");
    await vi.waitFor(() => expect(href()).toContain("batch=bat_1"));
    const last = asked.findLast(({ pathname }) => pathname === "/v1/jobs")?.searchParams;
    expect(last?.get("label")).toBe("truncated");
    expect(last?.get("batch")).toBe("bat_1");
    expect(before - Date.parse(last?.get("since") ?? "")).toBeLessThan(24 * 3_600_000 + 2000);
    expect(before - Date.parse(last?.get("since") ?? "")).toBeGreaterThan(24 * 3_600_000 - 5000);
    await user.click(screen.getByRole("button", { name: "Remove the filter since" }));
    await vi.waitFor(() => expect(href()).not.toContain("since"));
  });

  it("puts a filter into the address", async () => {
    const user = userEvent.setup();
    stored = [job(1)];
    const { href } = show("/jobs");
    await user.type(await screen.findByLabelText("Add a filter"), "user:u_1{Enter}");
    await vi.waitFor(() => expect(href()).toBe("/jobs?user=u_1"));
    await user.click(await screen.findByRole("button", { name: "Remove the filter user" }));
    await vi.waitFor(() => expect(href()).toBe("/jobs"));
  });

  it("tells no jobs from none that match", async () => {
    show("/jobs");
    expect(await screen.findByText("No jobs yet")).toBeInTheDocument();
  });

  it("offers to clear what matches nothing", async () => {
    const user = userEvent.setup();
    stored = [job(1)];
    const { href } = show("/jobs?state=failed");
    await user.click(await screen.findByRole("button", { name: "Clear the filters" }));
    expect(await screen.findByText("Queued", { selector: "tbody *" })).toBeInTheDocument();
    expect(href()).toBe("/jobs");
  });

  it("says what went wrong, and tries again", async () => {
    const user = userEvent.setup();
    stored = [job(1)];
    answer = ({ pathname }) =>
      pathname === "/v1/jobs"
        ? json({ status: 400, code: "invalid", title: "Wrong", detail: "cursor is no cursor" }, 400)
        : undefined;
    show("/jobs");
    const alert = await screen.findByRole("alert");
    expect(alert).toHaveTextContent("cursor is no cursor");
    answer = undefined;
    await user.click(within(alert).getByRole("button", { name: "Try again" }));
    expect(await screen.findByText("Queued", { selector: "tbody *" })).toBeInTheDocument();
  });

  it("changes a row in place", async () => {
    stored = [job(2), job(1)];
    show("/jobs");
    await screen.findAllByText("Queued", { selector: "tbody *" });
    act(() => void live.jobs.apply([row(job(1).id, 5, "completed")]));
    const rows = [...document.querySelectorAll("tbody tr")].map((found) => found.textContent);
    expect(rows[0]).toContain("Queued");
    expect(rows[1]).toContain("Completed");
  });
});

describe("new rows", () => {
  it("comes in by itself where nobody is reading", async () => {
    stored = [job(1)];
    show("/jobs");
    await screen.findByText("Queued", { selector: "tbody *" });
    stored = [job(2), ...stored];
    counts(2);
    await vi.waitFor(() => expect(document.querySelectorAll("tbody tr")).toHaveLength(2), { timeout: 4000 });
    expect(document.querySelector("tbody tr")).toHaveAttribute("data-id", job(2).id);
    expect(screen.queryByRole("button", { name: /new$/ })).toBeNull();
  });

  it("waits behind a pill while somebody is", async () => {
    const user = userEvent.setup();
    stored = [job(1)];
    show("/jobs");
    await user.hover(await screen.findByText("Queued", { selector: "tbody *" }));
    stored = [job(4), job(3), job(2), ...stored];
    counts(4);
    const pill = await screen.findByRole("button", { name: "3 new" }, { timeout: 4000 });
    expect(document.querySelectorAll("tbody tr")).toHaveLength(1);
    await user.click(pill);
    await vi.waitFor(() => expect(document.querySelectorAll("tbody tr")).toHaveLength(4));
    expect(screen.queryByRole("button", { name: /new$/ })).toBeNull();
  });
});

describe("more new rows than a page", () => {
  it("begins the list anew, without a gap and without going blank", async () => {
    const user = userEvent.setup();
    stored = [job(1)];
    show("/jobs");
    await user.hover(await screen.findByText("Queued", { selector: "tbody *" }));
    stored = [...Array.from({ length: 150 }, (_, n) => job(151 - n)), ...stored];
    counts(151);
    await user.click(await screen.findByRole("button", { name: "100+ new" }, { timeout: 4000 }));
    expect(document.querySelector("tbody tr")).toHaveAttribute("data-id", job(151).id);
    expect(screen.queryByRole("status", { name: "Loading jobs" })).toBeNull();
    expect(asked.filter(({ searchParams }) => searchParams.has("cursor"))).toEqual([]);
    expect(document.querySelector("tbody")).toHaveStyle({ height: `${100 * 34}px` });
  });
});

describe("several at once", () => {
  it("asks first, cancels in one call, and tells why one could not be", async () => {
    const user = userEvent.setup();
    stored = [job(3), job(2), job(1, { state: "completed" })];
    const sent: unknown[] = [];
    answer = ({ pathname }) =>
      pathname === "/v1/jobs/cancel"
        ? json({
            canceled: 1,
            not_done: [{ id: job(2).id, code: "job_ended", detail: "The job has ended already." }],
          })
        : undefined;
    onBody = (body) => sent.push(body);
    show("/jobs");
    await screen.findAllByText("Queued", { selector: "tbody *" });
    await user.keyboard("ac");
    const dialog = await screen.findByRole("dialog", { name: "Cancel 2 jobs?" });
    expect(dialog).toHaveTextContent("1 other job of the selection cannot be");
    expect(sent).toEqual([]);
    await user.click(within(dialog).getByRole("button", { name: "Cancel 2 jobs" }));
    const told = await screen.findByRole("dialog", { name: "1 job canceled" });
    expect(within(told).getByText("The job has ended already.", { exact: false })).toBeInTheDocument();
    expect(within(told).getByRole("link", { name: job(2).id })).toBeInTheDocument();
    expect(within(told).queryByRole("link", { name: job(3).id })).toBeNull();
    expect(sent).toEqual([{ ids: [job(3).id, job(2).id] }]);
    expect(live.jobs.get(job(3).id)?.state).toBe("canceled");
    expect(live.jobs.get(job(2).id)?.state, "rolled back").toBe("queued");
  });

  it("rolls everything back where the call is refused", async () => {
    const user = userEvent.setup();
    stored = [job(1, { state: "failed", label: "truncated" })];
    answer = ({ pathname }) =>
      pathname === "/v1/jobs/retry"
        ? json({ status: 402, code: "budget", title: "No room", detail: "The budget is used up." }, 402)
        : undefined;
    show("/jobs");
    await screen.findByText("truncated", { exact: false, selector: "tbody *" });
    await user.keyboard("ar");
    await user.click(await screen.findByRole("button", { name: "Retry 1 job" }));
    await vi.waitFor(() => expect(asked.some(({ pathname }) => pathname === "/v1/jobs/retry")).toBe(true));
    await vi.waitFor(() => expect(live.jobs.get(job(1).id)?.state).toBe("failed"));
    expect(live.jobs.get(job(1).id)?.label).toBe("truncated");
  });

  it("offers all that match once every loaded row is selected, and shows them at work", async () => {
    const user = userEvent.setup();
    stored = Array.from({ length: 150 }, (_, n) => job(150 - n));
    const sent: unknown[] = [];
    const operation = {
      id: "op_1",
      action: "cancel",
      state: "running",
      filter: { state: "queued,submitted,processing", type: "summarize" },
      key: "key_1",
      expected: 150,
      all_counted: true,
      matched: 0,
      done: 0,
      left: 0,
      created_at: "2026-11-28T11:00:00Z",
    };
    answer = ({ pathname }, method) => {
      if (pathname !== "/v1/operations") return undefined;
      if (method === "GET") return json({ data: sent.length > 1 ? [operation] : [], next_cursor: null });
      return sent.length > 1 ? json(operation, 202) : json({ jobs: 150, all_counted: true });
    };
    onBody = (body) => sent.push(body);
    show("/jobs?type=summarize");
    await screen.findAllByText("Queued", { selector: "tbody *" });
    await user.keyboard("a");
    await user.click(await screen.findByRole("button", { name: "Select all that match this filter" }));
    await user.keyboard("c");
    await user.click(await screen.findByRole("button", { name: "Cancel 150 jobs" }));
    const line = await screen.findByRole("region", { name: "Cancel type:summarize" });
    expect(line).toHaveTextContent("Canceling 0 of 150 jobs");
    expect(screen.queryByText("Selected", { exact: false })).toBeNull();
    const asked = { action: "cancel", filter: { type: "summarize" } };
    expect(sent).toEqual([{ ...asked, dry_run: true }, asked]);
  });
});
