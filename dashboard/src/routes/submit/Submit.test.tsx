import { fireEvent, screen, waitFor } from "@testing-library/react";
import { userEvent } from "@testing-library/user-event";
import { afterEach, expect, it, vi } from "vitest";
import { type Asked, showScreen } from "../../ui/testing";
import { Screen } from "./Submit";

afterEach(() => vi.unstubAllGlobals());

const TYPE = {
  name: "summarize",
  version: 1,
  shipped: true,
  description: "A short summary.",
  model: "claude-haiku-5-5",
  max_tokens: 2048,
  system: "",
  template: "{{ text }}",
  input_schema: {
    type: "object",
    properties: { text: { type: "string" }, max_words: { type: "integer", default: 120 } },
    required: ["text"],
  },
  output_schema: null,
  created_at: "2026-11-28T06:47:52Z",
};

const JOB = {
  id: "job_01m8gejv2ge00a70dj0c2xv2w8",
  state: "completed",
  type: "summarize",
  type_version: 1,
  model: "claude-haiku-5-5",
  lane: "batch",
  priority: "normal",
  created_at: "2026-11-28T06:48:18.256Z",
  ended_at: "2026-11-28T06:49:18.256Z",
  expected_by: null,
  attempt: 1,
  cost: "0.00001835",
};

const sum = (jobs: number) => ({
  input_tokens: 257 * jobs,
  output_tokens: 22 * jobs,
  cost_batch: "0.00001835",
  cost_direct: "0.0000367",
  cost: "0.00001835",
  unpriced: 0,
});

const answers = {
  "GET /v1/job-types": { data: [TYPE], next_cursor: null },
  "POST /v1/estimate": ({ body }: Asked) => {
    const { jobs } = JSON.parse(body) as { jobs: unknown[] };
    const one = {
      type: "summarize",
      type_version: 1,
      model: TYPE.model,
      lane: "batch",
      answer_basis: "words",
      correction: "1.000",
      ...sum(1),
    };
    return { jobs: jobs.map(() => one), total: sum(jobs.length) };
  },
  "POST /v1/jobs": JOB,
  [`GET /v1/jobs/${JOB.id}`]: JOB,
  [`GET /v1/jobs/${JOB.id}/result`]: { text: "It is short.", output: null },
  "POST /v1/jobs/bulk": {
    group: "grp_01m8gejtk6e00b2een0ktrq703",
    jobs: 2,
    skipped: 0,
    lines: 2,
    replayed: false,
  },
};

it("estimates what is pasted, submits it once and shows its result", async () => {
  const user = userEvent.setup();
  const { asked, router } = showScreen(Screen, "/submit", answers);
  fireEvent.change(await screen.findByLabelText("Text"), { target: { value: "A long story." } });
  expect(await screen.findByTitle("$0.00001835")).toBeInTheDocument();
  await user.click(screen.getByRole("button", { name: "Submit" }));
  expect(await screen.findByText("Completed")).toBeInTheDocument();
  expect(await screen.findByText("It is short.")).toBeInTheDocument();
  expect(router.state.location.search).toEqual({ job: JOB.id });
  const sent = asked.filter(({ path }) => path === "/v1/jobs");
  expect(sent.map(({ body }) => JSON.parse(body))).toEqual([
    { type: "summarize", input: { text: "A long story." } },
  ]);
});

it("says more of a job when asked to, and what the server finds wrong stands at its field", async () => {
  const user = userEvent.setup();
  const refusal = {
    type: "/problems/invalid_input",
    title: "The job is wrong",
    status: 422,
    code: "invalid_input",
    detail: "/metadata: must be an object",
    errors: [{ field: "/metadata", code: "wrong_type", message: "must be an object" }],
  };
  const { asked } = showScreen(Screen, "/submit", {
    ...answers,
    "POST /v1/jobs": () => Response.json(refusal, { status: 422 }),
  });
  fireEvent.change(await screen.findByLabelText("Text"), { target: { value: "A story." } });
  await user.click(screen.getByText("More"));
  await user.selectOptions(screen.getByLabelText("Priority"), "high");
  const metadata = screen.getByLabelText("Metadata");
  fireEvent.change(metadata, { target: { value: "{" } });
  await user.click(screen.getByRole("button", { name: "Submit" }));
  expect(metadata).toHaveAccessibleDescription("This is not JSON.");
  expect(asked.some(({ path }) => path === "/v1/jobs")).toBe(false);
  fireEvent.change(metadata, { target: { value: "[17]" } });
  await user.click(screen.getByRole("button", { name: "Submit" }));
  await waitFor(() => expect(metadata).toHaveAccessibleDescription("must be an object"));
  expect(metadata).toBeInvalid();
  const sent = asked.find(({ path }) => path === "/v1/jobs");
  expect(JSON.parse(sent?.body ?? "")).toMatchObject({ priority: "high", metadata: [17] });
});

it("waits as long as an upload takes, and can be canceled and sent again under the same key", async () => {
  const user = userEvent.setup();
  const keys: (string | null)[] = [];
  let answer: (() => void) | undefined;
  showScreen(Screen, "/submit", answers);
  const before = fetch;
  vi.stubGlobal("fetch", (request: Request, options: RequestInit) => {
    if (!request.url.endsWith("/v1/jobs")) return before(request, options);
    keys.push(request.headers.get("idempotency-key"));
    return new Promise((resolve, reject) => {
      answer = () => resolve(before(request, options));
      options.signal?.addEventListener("abort", () => reject(options.signal?.reason));
    });
  });
  const timeout = vi.spyOn(AbortSignal, "timeout");
  fireEvent.change(await screen.findByLabelText("Text"), { target: { value: "A long story." } });
  timeout.mockClear();
  await user.click(screen.getByRole("button", { name: "Submit" }));
  expect(timeout).not.toHaveBeenCalled();
  await user.click(await screen.findByRole("button", { name: "Cancel" }));
  await user.click(await screen.findByRole("button", { name: "Submit" }));
  expect(screen.queryByRole("alert")).toBeNull();
  await waitFor(() => expect(keys).toHaveLength(2));
  answer?.();
  expect(await screen.findByText("Completed")).toBeInTheDocument();
  expect(new Set(keys).size).toBe(1);
});

it("says what is missing, and sends dropped files as one group", async () => {
  const user = userEvent.setup();
  const { asked } = showScreen(Screen, "/submit", answers);
  await user.click(await screen.findByRole("button", { name: "Submit" }));
  expect(await screen.findByText("Paste a text, or choose files.")).toBeInTheDocument();
  const files = [
    new File(["one"], "1.txt"),
    new File(["two"], "2.txt"),
    new File([new Uint8Array([255, 0])], "3.bin"),
  ];
  fireEvent.change(screen.getByLabelText("Files"), { target: { files } });
  expect(await screen.findByText(/3\.bin/)).toBeInTheDocument();
  await user.click(await screen.findByRole("button", { name: "Submit 2 jobs" }));
  await waitFor(() => expect(asked.some(({ path }) => path === "/v1/jobs/bulk")).toBe(true));
  const lines = asked
    .find(({ path }) => path === "/v1/jobs/bulk")
    ?.body.trim()
    .split("\n");
  expect(lines?.map((line) => JSON.parse(line).input.text)).toEqual(["one", "two"]);
});
