import { screen, waitFor, within } from "@testing-library/react";
import { userEvent } from "@testing-library/user-event";
import { afterEach, expect, it, vi } from "vitest";
import { type Asked, showScreen } from "../../ui/testing";
import { Screen } from "./Settings";

afterEach(() => vi.unstubAllGlobals());

const key = (id: string, of: object = {}) => ({
  id,
  name: "",
  hint: `ofp_live_…${id.slice(-4)}`,
  is_yours: false,
  created_at: "2026-11-28T06:47:52Z",
  last_used_at: null,
  revoked_at: null,
  ...of,
});

const MINE = key("key_01m8gejv2ge00a70dj0c2xaaaa", { name: "laptop", is_yours: true });
const OTHER = key("key_01m8gejv2ge00a70dj0c2xbbbb", { name: "app" });

const answers = (keys: object[]) => ({
  "GET /v1/me": {
    tenant: "ten_01m8gejv2ge00a70dj0c2xv2w8",
    name: "demo",
    key: MINE.hint,
    upstream: { name: "stand-in", standin: true },
  },
  "GET /v1/keys": { data: keys, next_cursor: null },
  "POST /v1/keys": { ...key("key_01m8gejv2ge00a70dj0c2xcccc", { name: "robot" }), key: "ofp_live_secret" },
  [`DELETE /v1/keys/${MINE.id}`]: null,
  "GET /v1/live/origins": { origins: [] },
  "PUT /v1/live/origins": ({ body }: Asked) => JSON.parse(body),
});

it("shows a new key once, and not any more when its dialog is closed", async () => {
  const user = userEvent.setup();
  showScreen(Screen, "/settings", answers([MINE]));
  await user.click(await screen.findByRole("button", { name: "Make a key" }));
  await user.type(screen.getByLabelText("What it is for"), "robot");
  await user.click(screen.getByRole("button", { name: "Make the key" }));
  expect(await screen.findByText("ofp_live_secret")).toBeInTheDocument();
  expect(screen.getByRole("button", { name: "Copy the new key" })).toBeInTheDocument();
  await user.click(screen.getByRole("button", { name: "I have copied it" }));
  expect(screen.queryByText("ofp_live_secret")).toBeNull();
  // The only one in force stays.
  expect(await screen.findByRole("button", { name: "Revoke laptop" })).toBeDisabled();
});

it("warns before the key of this session is revoked", async () => {
  const user = userEvent.setup();
  const { asked } = showScreen(Screen, "/settings", answers([MINE, OTHER]));
  await user.click(await screen.findByRole("button", { name: "Revoke laptop" }));
  const dialog = within(screen.getByRole("dialog"));
  expect(dialog.getByText(/you will be signed out/)).toBeInTheDocument();
  expect(asked.some(({ method }) => method === "DELETE")).toBe(false);
  await user.click(dialog.getByRole("button", { name: "Revoke the key" }));
  await waitFor(() => expect(asked.some(({ method }) => method === "DELETE")).toBe(true));
});

it("stores the origins that are written, one a line", async () => {
  const user = userEvent.setup();
  const { asked } = showScreen(Screen, "/settings", answers([MINE]));
  await user.type(
    await screen.findByLabelText(/^Origins/),
    "https://a.example{enter}{enter} https://b.example",
  );
  await user.click(screen.getByRole("button", { name: "Store the origins" }));
  await screen.findByText("Stored the origins");
  expect(JSON.parse(asked.find(({ method }) => method === "PUT")?.body ?? "")).toEqual({
    origins: ["https://a.example", "https://b.example"],
  });
});

it("names the origin that was refused", async () => {
  const user = userEvent.setup();
  const problem = {
    type: "/problems/invalid_request",
    title: "The request is not valid",
    status: 422,
    code: "invalid_request",
    detail: "/origins/1: must begin with https:// or http://, in lower case",
    request_id: "req_1",
    errors: [{ field: "/origins/1", code: "pattern", message: "must begin with https:// or http://" }],
  };
  showScreen(Screen, "/settings", {
    ...answers([MINE]),
    "PUT /v1/live/origins": () => Response.json(problem, { status: 422 }),
  });
  const field = await screen.findByLabelText(/^Origins/);
  await user.type(field, "https://a.example{enter}b");
  await user.click(screen.getByRole("button", { name: "Store the origins" }));
  await waitFor(() => expect(field).toHaveAccessibleDescription("No 2 must begin with https:// or http://"));
});
