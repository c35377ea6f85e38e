import { fireEvent, screen, waitFor, within } from "@testing-library/react";
import { userEvent } from "@testing-library/user-event";
import { afterEach, expect, it, vi } from "vitest";
import { pieces } from "../../ui/Template";
import { showScreen } from "../../ui/testing";
import { Screen } from "./Types";

afterEach(() => vi.unstubAllGlobals());

const type = (version: number, template: string) => ({
  name: "summarize",
  version,
  shipped: version === 1,
  description: "A short summary.",
  model: "claude-haiku-5-5",
  max_tokens: 2048,
  system: "Be brief.",
  template,
  input_schema: { type: "object", properties: { text: { type: "string" } }, required: ["text"] },
  output_schema: null,
  created_at: "2026-11-28T06:47:52Z",
});

const TYPES = [type(2, "Read this:\n{{ text }}\nNow."), type(1, "Read:\n{{ text }}\nNow.")];

const answers = {
  "GET /v1/job-types": { data: [TYPES[0]], next_cursor: null },
  "GET /v1/job-types/summarize/versions": { data: TYPES, next_cursor: null },
};

it("marks what is filled in", () => {
  expect(pieces("a {{ text }}{% if x %}b").map(({ kind, text }) => [kind, text])).toEqual([
    ["plain", "a "],
    ["value", "{{ text }}"],
    ["statement", "{% if x %}"],
    ["plain", "b"],
  ]);
});

it("shows what changed between two versions, and nothing that did not", async () => {
  showScreen(Screen, "/types?name=summarize&view=versions", answers);
  const changes = await screen.findByRole("region", { name: "Changes of Template" });
  expect([...changes.children].map((line) => line.textContent)).toEqual([
    "−Taken out: Read:",
    "+Added: Read this:",
    " {{ text }}",
    " Now.",
  ]);
  expect(screen.queryByRole("region", { name: "Changes of System prompt" })).toBeNull();
});

it("stores a new version made from the newest, and names the field that was refused", async () => {
  const user = userEvent.setup();
  const problem = {
    type: "/problems/invalid_job_type",
    title: "The job type cannot be stored",
    status: 422,
    code: "invalid_job_type",
    detail: "/template: names a value that the input schema does not have",
    request_id: "req_1",
    errors: [
      { field: "/template", code: "unknown_variable", message: "names `txt`, which the input has not" },
    ],
  };
  const { asked } = showScreen(Screen, "/types?name=summarize&view=edit", {
    ...answers,
    "POST /v1/job-types": () => Response.json(problem, { status: 422 }),
  });
  const field = await screen.findByLabelText("Template");
  expect(field).toHaveValue("Read this:\n{{ text }}\nNow.");
  fireEvent.change(field, { target: { value: "{{ txt }}" } });
  await user.click(screen.getByRole("button", { name: "Store the new version" }));
  await waitFor(() => expect(field).toHaveAccessibleDescription("names `txt`, which the input has not"));
  const sent = JSON.parse(asked.find(({ method }) => method === "POST")?.body ?? "");
  expect(sent).toMatchObject({
    name: "summarize",
    template: "{{ txt }}",
    max_tokens: 2048,
    output_schema: null,
    input_schema: { required: ["text"] },
  });
  expect(within(screen.getByRole("alert")).getByText("The job type cannot be stored")).toBeInTheDocument();
});
