import { screen, waitFor, within } from "@testing-library/react";
import { userEvent } from "@testing-library/user-event";
import axe from "axe-core";
import { afterEach, expect, it, vi } from "vitest";
import { type Asked, showScreen } from "../../ui/testing";
import { OwnKey } from "./OwnKey";

afterEach(() => vi.unstubAllGlobals());

const CURRENT = {
  version: 1,
  state: "current",
  last_four: "WXYZ",
  creates_per_minute: 50,
  max_queued_items: 100_000,
  set_at: "2026-11-28T06:47:52Z",
  checked_at: "2026-11-28T07:00:00Z",
  workspace: "wrkspc_01",
};

const own = (of: object = {}) => ({
  available: true,
  jobs_go: "own",
  pause: null,
  depends: { open_batches: 2, jobs_in_batches: 1_200, waiting_jobs: 7, falls_back: false },
  keys: [CURRENT],
  ...of,
});

const NONE = { jobs_go: "shared", keys: [], depends: { ...own().depends, open_batches: 0, waiting_jobs: 0 } };

it("sets a key, which leaves the page with its request", async () => {
  const user = userEvent.setup();
  const checking = { ...CURRENT, state: "checking", checked_at: undefined };
  const { asked } = showScreen(OwnKey, "/settings", {
    "GET /v1/upstream": own(NONE),
    "PUT /v1/upstream": own({ ...NONE, keys: [checking] }),
  });
  await user.click(await screen.findByRole("button", { name: "Set a key of your own" }));
  const field = screen.getByLabelText("Anthropic API key");
  expect(field).toHaveAttribute("type", "password");
  const button = screen.getByRole("button", { name: "Set the key" });
  expect(button).toBeDisabled();
  await user.type(field, "sk-ant-api03-secret-WXYZ");
  await user.click(button);
  expect(await screen.findByText("Being checked")).toBeInTheDocument();
  const put = asked.find(({ method }) => method === "PUT") as Asked;
  expect(JSON.parse(put.body)).toEqual({
    key: "sk-ant-api03-secret-WXYZ",
    creates_per_minute: 50,
    max_queued_items: 100_000,
  });
  expect(document.body.innerHTML).not.toContain("secret-WXYZ");
});

it("says what a removal means before it is asked for", async () => {
  const user = userEvent.setup();
  const { asked } = showScreen(OwnKey, "/settings", {
    "GET /v1/upstream": own(),
    "DELETE /v1/upstream": own({ jobs_go: "nowhere", keys: [{ ...CURRENT, state: "removed" }] }),
  });
  await user.click(await screen.findByRole("button", { name: "Remove the key" }));
  const dialog = within(screen.getByRole("dialog"));
  expect(dialog.getByText(/2 open batches with 1,200 jobs stay at Anthropic/)).toBeInTheDocument();
  expect(dialog.getByText(/7 waiting jobs.*until you set another key/)).toBeInTheDocument();
  expect(asked.some(({ method }) => method === "DELETE")).toBe(false);
  await user.click(dialog.getByRole("button", { name: "Remove the key" }));
  expect(await screen.findByText(/^nowhere: your key was removed/)).toBeInTheDocument();
  await waitFor(() => expect(screen.queryByRole("button", { name: "Remove the key" })).toBeNull());
  expect(asked.find(({ method }) => method === "DELETE")?.query).toEqual({ confirm: "true" });
});

it("shows what Anthropic said of one that it did not take, and why nothing is sent", async () => {
  showScreen(OwnKey, "/settings", {
    "GET /v1/upstream": own({
      pause: { reason: "Anthropic does not accept the API key", until: "2026-11-28T08:00:00Z" },
      keys: [
        { ...CURRENT, version: 2, state: "refused", last_four: "0000", said: "Anthropic answered 401" },
        CURRENT,
      ],
    }),
  });
  expect(await screen.findByText("Anthropic answered 401")).toBeInTheDocument();
  expect(screen.getByText("Anthropic does not accept the API key")).toBeInTheDocument();
  expect(screen.getByText("…WXYZ")).toBeInTheDocument();
  expect(screen.getByRole("button", { name: "Replace the key" })).toBeInTheDocument();
});

it("offers nothing where the server cannot keep a key", async () => {
  showScreen(OwnKey, "/settings", { "GET /v1/upstream": own({ ...NONE, available: false }) });
  expect(await screen.findByText(/no master key/)).toBeInTheDocument();
  expect(screen.queryByRole("button", { name: /key/ })).toBeNull();
});

it("is accessible, its dialogs too", async () => {
  const user = userEvent.setup();
  showScreen(OwnKey, "/settings", { "GET /v1/upstream": own() });
  for (const name of ["Replace the key", "Remove the key"]) {
    await user.click(await screen.findByRole("button", { name }));
    const dialog = screen.getByRole("dialog");
    // Colours need a browser: the walk in Chromium looks at them.
    const found = await axe.run(document.body, {
      rules: { "color-contrast": { enabled: false }, region: { enabled: false } },
    });
    expect(found.violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)])).toEqual([]);
    await user.click(within(dialog).getByRole("button", { name: "Back" }));
  }
});
