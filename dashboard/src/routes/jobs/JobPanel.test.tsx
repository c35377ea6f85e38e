import { QueryClientProvider } from "@tanstack/react-query";
import { createMemoryHistory, createRootRoute, createRouter, RouterProvider } from "@tanstack/react-router";
import { render, screen, within } from "@testing-library/react";
import { userEvent } from "@testing-library/user-event";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { Attempts, Job, JobResult } from "../../api/jobs";
import { parseSearch, printSearch } from "../../lib/filter";
import { live } from "../../live/live";
import { signedIn } from "../../ui/testing";
import { JobPanel } from "./JobPanel";
import { aheadWords } from "./Place";

const ID = `job_${"1".padStart(26, "0")}`;
const BATCH = `bat_${"2".padStart(26, "0")}`;

let job: Job;
let result: JobResult;
let attempts: Attempts;
/** With a number that no float holds. */
const REQUEST =
  '{"model":"m","messages":[{"role":"user","content":"<img src=x onerror=a()>"}],"n":12345678901234567890}';
let asked: string[];

beforeEach(() => {
  asked = [];
  job = {
    id: ID,
    state: "failed",
    label: "schema_invalid",
    reason: "The answer does not match the output schema of its job.",
    type: "classify",
    type_version: 3,
    model: "m",
    lane: "direct",
    priority: "normal",
    created_at: "2026-11-28T11:00:00Z",
    ended_at: "2026-11-28T11:10:00Z",
    expected_by: null,
    attempt: 2,
    batch: BATCH,
  };
  result = {
    job: ID,
    state: "failed",
    label: "schema_invalid",
    type: "classify",
    model: "m",
    attempt: 2,
    ended_at: "2026-11-28T11:10:00Z",
    output: { mood: 7 },
    text: '{"mood": 7}',
  };
  const none = { label: null, upstream_batch: null, waits_from: null, still_at_anthropic: false };
  attempts = {
    job: ID,
    created_at: "2026-11-28T11:00:00Z",
    attempts: [
      {
        ...none,
        number: 1,
        outcome: "expired",
        is_result: false,
        lane: "batch",
        batch: BATCH,
        batch_state: "ingested",
        grouped_at: "2026-11-28T11:00:05Z",
        sent_at: "2026-11-28T11:00:06Z",
        created_at: "2026-11-28T11:00:07Z",
        answered_at: "2026-11-28T11:05:00Z",
        ended_at: "2026-11-28T11:05:01Z",
        bill: null,
      },
      {
        ...none,
        number: 2,
        outcome: "failed",
        label: "schema_invalid",
        is_result: true,
        lane: "direct",
        batch: null,
        batch_state: null,
        grouped_at: null,
        sent_at: "2026-11-28T11:09:00Z",
        created_at: null,
        answered_at: "2026-11-28T11:09:58Z",
        ended_at: "2026-11-28T11:10:00Z",
        bill: {
          model: "m",
          lane: "direct",
          cost: "0.0008125",
          cost_sync: "0.0008125",
          lines: [{ item: "input", units: 1625, each: "0.0000005", cost: "0.0008125" }],
        },
      },
    ],
  };
  vi.stubGlobal(
    "fetch",
    vi.fn(async ({ url }: Request) => {
      const path = new URL(url).pathname.replace(`/v1/jobs/${ID}`, "");
      asked.push(path);
      const bodies: Record<string, string> = {
        "": JSON.stringify(job),
        "/result": JSON.stringify(result),
        "/attempts": JSON.stringify(attempts),
        "/request": REQUEST,
      };
      return new Response(bodies[path] ?? "{}", { headers: { "content-type": "application/json" } });
    }),
  );
});
afterEach(() => {
  live.jobs.clear();
  vi.unstubAllGlobals();
});

function show(address = "/jobs") {
  const history = createMemoryHistory({ initialEntries: [address] });
  const router = createRouter({
    routeTree: createRootRoute({
      validateSearch: (search: Record<string, unknown>) => search as Record<string, string>,
      component: () => <JobPanel id={ID} onClose={() => {}} />,
      notFoundComponent: () => <JobPanel id={ID} onClose={() => {}} />,
    }),
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

it("tells each attempt: how, when, how it ended and what it cost", async () => {
  show("/");
  const first = within(await screen.findByRole("listitem", { name: "Attempt 1" }));
  first.getByText("Expired at Anthropic");
  first.getByText("in a batch", { exact: false });
  first.getByText("after 4 m 53 s", { exact: false });
  expect(first.queryByText("Cost", { exact: false })).toBeNull();
  const second = within(screen.getByRole("listitem", { name: "Attempt 2" }));
  second.getByText("Failed · schema invalid");
  second.getByText("direct, at the normal price", { exact: false });
  second.getByText("gave the result", { exact: false });
  second.getByText("Cost $0.0008125", { exact: false });
  second.getByText("1,625");
});

it("leads to its group and to its batch", async () => {
  const group = `grp_${"3".padStart(26, "0")}`;
  job.group = group;
  show("/");
  for (const [id, address] of [
    [group, "/groups"],
    [BATCH, "/batches"],
  ] as const)
    expect((await screen.findAllByRole("link", { name: id }))[0]).toHaveAttribute(
      "href",
      `${address}?id=${id}`,
    );
});

it("shows the request only when it is opened, as text", async () => {
  const user = userEvent.setup();
  const { href } = show("/");
  await screen.findByRole("listitem", { name: "Attempt 1" });
  expect(asked).not.toContain("/request");
  await user.click(screen.getByText("Request"));
  const shown = await screen.findByRole("region", { name: "request" });
  expect(shown).toHaveTextContent("<img src=x onerror=a()>");
  expect(shown).toHaveTextContent("12345678901234567890");
  expect(document.querySelector("img")).toBeNull();
  expect(href()).toBe("/?request=open");
  const write = vi.spyOn(navigator.clipboard, "writeText");
  await user.click(screen.getByRole("button", { name: "Copy the request" }));
  expect(write, "byte for byte").toHaveBeenCalledWith(REQUEST);
});

it("says whether a structured answer matches its schema, and changes tabs by key", async () => {
  const user = userEvent.setup();
  const { href } = show("/");
  expect(
    await screen.findByText("Is JSON, but does not match the output schema of classify, version 3."),
  ).toBeInTheDocument();
  await user.keyboard("]");
  await vi.waitFor(() =>
    expect(screen.getByRole("tab", { name: "Text" })).toHaveAttribute("aria-selected", "true"),
  );
  expect(href()).toBe("/?tab=text");
  await user.keyboard("[[[[");
  await vi.waitFor(() =>
    expect(screen.getByRole("tab", { name: "Raw" })).toHaveAttribute("aria-selected", "true"),
  );
});

it("says what goes before a job that waits, and nothing of one that has ended", async () => {
  job.ahead = { jobs: 1000, more: true };
  show("/");
  expect(await screen.findByText("classify, version 3")).toBeInTheDocument();
  expect(screen.queryByText("Before it")).toBeNull();
  expect(aheadWords({ jobs: 1000, more: true })).toBe("More than 1,000 jobs of yours");
  expect(aheadWords({ jobs: 1, more: false })).toBe("1 job of yours");
  expect(aheadWords({ jobs: 0, more: false })).toBe("No job of yours");
});
