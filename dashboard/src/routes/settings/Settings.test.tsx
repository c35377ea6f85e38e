import { screen, waitFor, within } from "@testing-library/react";
import { userEvent } from "@testing-library/user-event";
import { afterEach, expect, it, vi } from "vitest";
import { type Asked, showScreen, signedIn } from "../../ui/testing";
import { Screen } from "./Settings";

afterEach(() => vi.unstubAllGlobals());

const key = (id: string, of: object = {}) => ({
  id,
  name: "",
  hint: `ofp_live_…${id.slice(-4)}`,
  is_yours: false,
  created_at: "2026-11-28T06:47:52Z",
  last_used_at: null,
  scopes: ["jobs:read", "results:read", "jobs:write", "settings:manage", "keys:manage"],
  expires_at: null,
  rotated_to: null,
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
    person: null,
    role: null,
    operator: false,
    scopes: MINE.scopes,
    upstream: { name: "stand-in", standin: true },
  },
  "GET /v1/keys": { data: keys, next_cursor: null },
  "POST /v1/keys": { ...key("key_01m8gejv2ge00a70dj0c2xcccc", { name: "robot" }), key: "ofp_live_secret" },
  [`DELETE /v1/keys/${MINE.id}`]: null,
  "GET /v1/people": { data: [], next_cursor: null },
  "GET /v1/audit": ({ query }: Asked) => ({
    data: [
      {
        seq: query.cursor ? 1 : 2,
        at: "2026-11-28T09:30:00Z",
        actor: query.cursor ? "command" : "operator",
        actor_id: "per_1",
        actor_name: query.cursor ? "" : "olga",
        action: query.cursor ? "key.create" : "operator.look",
        target: "",
        detail: query.cursor ? "" : "ticket 7",
        address: "192.0.2.7",
        request_id: "req_1",
        hash: "00",
      },
    ],
    next_cursor: query.cursor ? null : "older",
  }),
  "GET /v1/retention": {
    inputs_days: 30,
    results_days: 30,
    own_inputs: false,
    own_results: false,
    delete_upstream: false,
  },
  "PUT /v1/retention": ({ body }: Asked) => {
    const { inputs_days, results_days, delete_upstream } = JSON.parse(body);
    return {
      inputs_days: inputs_days ?? 30,
      results_days: results_days ?? 30,
      own_inputs: inputs_days !== undefined,
      own_results: results_days !== undefined,
      delete_upstream,
    };
  },
  "GET /v1/limits": {
    data: [
      { name: "queued_jobs", value: 5000, default: 10_000_000, own: true, used: 1200 },
      { name: "requests_per_second", value: 0, default: 50, own: false, used: null },
    ],
    takes_jobs: false,
  },
  "GET /v1/live/origins": { origins: [] },
  "PUT /v1/live/origins": ({ body }: Asked) => JSON.parse(body),
});

const bodyOf = (asked: readonly Asked[], method: string) =>
  JSON.parse(asked.find((one) => one.method === method)?.body ?? "null");

it("shows a new key once, and not any more when its dialog is closed", async () => {
  const user = userEvent.setup();
  const { asked } = showScreen(Screen, "/settings", answers([MINE]));
  await user.click(await screen.findByRole("button", { name: "Make a key" }));
  await user.type(screen.getByLabelText("What it is for"), "robot");
  await user.selectOptions(screen.getByLabelText("When it ends"), "In 30 days");
  await user.click(screen.getByRole("button", { name: "Make the key" }));
  expect(await screen.findByText("ofp_live_secret")).toBeInTheDocument();
  expect(bodyOf(asked, "POST")).toEqual({
    name: "robot",
    scopes: ["jobs:read", "results:read", "jobs:write"],
    expires_in: 2_592_000,
  });
  expect(screen.getByRole("button", { name: "Copy the new key" })).toBeInTheDocument();
  await user.click(screen.getByRole("button", { name: "I have copied it" }));
  expect(screen.queryByText("ofp_live_secret")).toBeNull();
  // The only one in force stays.
  expect(await screen.findByRole("button", { name: "Revoke laptop" })).toBeDisabled();
});

it("tells who did what, an operator's look too, and reads older entries on demand", async () => {
  const user = userEvent.setup();
  showScreen(Screen, "/settings", answers([MINE]));
  const log = within(await screen.findByRole("region", { name: "Audit log" }));
  expect(log.getByText(/looked inside, as operator/)).toHaveTextContent(
    "looked inside, as operator: ticket 7",
  );
  expect(log.getByText(/olga/)).toHaveTextContent("olga (operator)");
  await user.click(screen.getByRole("button", { name: "Older entries" }));
  expect(await log.findByText("made a key")).toBeInTheDocument();
  expect(log.getByText("the operator's command")).toBeInTheDocument();
  expect(screen.queryByRole("button", { name: "Older entries" })).toBeNull();
});

it("shows limits with what is used of them", async () => {
  showScreen(Screen, "/settings", answers([MINE]));
  const head = await screen.findByRole("heading", { name: "Limits" });
  const limits = within(head.closest("section") as HTMLElement);
  expect(await limits.findByText(/1,200 of 5,000/)).toHaveTextContent("1,200 of 5,000, elsewhere 10,000,000");
  expect(limits.getByText("no limit")).toBeInTheDocument();
  expect(limits.getByText(/the database has no room/)).toBeInTheDocument();
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

it("makes no key without a scope, and says why", async () => {
  const user = userEvent.setup();
  showScreen(Screen, "/settings", answers([MINE]));
  await user.click(await screen.findByRole("button", { name: "Make a key" }));
  const dialog = within(screen.getByRole("dialog"));
  for (const scope of [/^jobs:read/, /^results:read/, /^jobs:write/])
    await user.click(dialog.getByRole("checkbox", { name: scope }));
  expect(dialog.getByRole("button", { name: "Make the key" })).toBeDisabled();
  expect(dialog.getByText(/a key without any opens nothing/)).toBeInTheDocument();
});

it("rotates a key, shows the new one once, and says which took whose place", async () => {
  const user = userEvent.setup();
  const next = key("key_01m8gejv2ge00a70dj0c2xdddd", { name: "app" });
  const ended = key("key_01m8gejv2ge00a70dj0c2xeeee", { name: "old", expires_at: "2026-01-01T00:00:00Z" });
  const replaced = { ...OTHER, rotated_to: next.id, expires_at: "2099-01-01T00:00:00Z" };
  let keys: object[] = [MINE, OTHER];
  const { asked } = showScreen(Screen, "/settings", {
    ...answers([]),
    "GET /v1/keys": () => ({ data: keys, next_cursor: null }),
    [`POST /v1/keys/${OTHER.id}/rotate`]: () => {
      keys = [MINE, next, replaced, ended];
      return { ...next, key: "ofp_live_next" };
    },
  });
  await user.click(await screen.findByRole("button", { name: "Rotate app" }));
  await user.selectOptions(screen.getByLabelText("The old key opens the same"), "For one hour");
  await user.click(screen.getByRole("button", { name: "Make the new key" }));
  expect(await screen.findByText("ofp_live_next")).toBeInTheDocument();
  expect(bodyOf(asked, "POST")).toEqual({ overlap: 3600 });
  await user.click(screen.getByRole("button", { name: "I have copied it" }));
  const table = within(screen.getByRole("region", { name: "API keys" }));
  expect(await table.findByText(/^replaced by/)).toHaveTextContent(`replaced by ${next.hint}`);
  // It was rotated once, and the new one can be in its turn.
  expect(table.getAllByRole("button", { name: "Rotate app" })).toHaveLength(1);
  expect(table.queryByText("old")).toBeNull();
  await user.click(screen.getByRole("checkbox", { name: "Ended and revoked ones too (1)" }));
  expect(await table.findByText("old")).toBeInTheDocument();
});

const PERSON = {
  id: "per_01m8grd4y3e00a93jv64q0be7j",
  name: "bob@example.com",
  role: "viewer",
  is_you: false,
  created_at: "2026-11-28T06:47:52Z",
  last_seen_at: null,
};

it("invites somebody, shows the link once and until when it opens", async () => {
  const user = userEvent.setup();
  const { asked } = showScreen(Screen, "/settings", {
    ...answers([MINE]),
    "POST /v1/people": {
      id: PERSON.id,
      link: "/sign-in#ofp_link_once",
      expires_at: "2026-11-29T09:39:57Z",
    },
  });
  expect(await screen.findByText(/Nobody signs in without a key yet/)).toBeInTheDocument();
  await user.click(screen.getByRole("button", { name: "Invite" }));
  await user.type(screen.getByLabelText("Name"), " bob@example.com ");
  await user.click(screen.getByRole("radio", { name: /^Member/ }));
  await user.click(screen.getByRole("button", { name: "Make the link" }));
  // The server did not know how it is reached: the page does.
  expect(await screen.findByText(`${location.origin}/sign-in#ofp_link_once`)).toBeInTheDocument();
  expect(screen.getByText(/It opens once, until/)).toHaveTextContent("2026");
  expect(bodyOf(asked, "POST")).toEqual({ name: "bob@example.com", role: "member" });
  await user.click(screen.getByRole("button", { name: "I have copied it" }));
  expect(screen.queryByText(/ofp_link_once/)).toBeNull();
});

it("gives another role by another link, and removes after asking", async () => {
  const user = userEvent.setup();
  const { asked } = showScreen(Screen, "/settings", {
    ...answers([MINE]),
    "GET /v1/people": { data: [PERSON], next_cursor: null },
    [`DELETE /v1/people/${PERSON.id}`]: null,
  });
  await user.click(await screen.findByRole("button", { name: "Role or link for bob@example.com" }));
  expect(screen.getByRole("radio", { name: /^Viewer/ })).toBeChecked();
  expect(screen.queryByLabelText("Name")).toBeNull();
  await user.click(screen.getByRole("button", { name: "Back" }));
  await user.click(screen.getByRole("button", { name: "Remove bob@example.com" }));
  expect(asked.some(({ method }) => method === "DELETE")).toBe(false);
  await user.click(screen.getByRole("button", { name: "Remove them" }));
  expect(await screen.findByText("Removed bob@example.com")).toBeInTheDocument();
});

it("offers a viewer nothing that a viewer may not do", async () => {
  const scopes = ["jobs:read", "results:read"] as const;
  const me = { key: null, person: "bob@example.com", role: "viewer", scopes: [...scopes] } as const;
  const { asked } = showScreen(
    Screen,
    "/settings",
    { "GET /v1/me": { ...answers([])["GET /v1/me"], ...me } },
    signedIn({ ...me, scopes: [...scopes] }),
  );
  expect(await screen.findByText("Viewer")).toBeInTheDocument();
  expect(screen.getByText("bob@example.com")).toBeInTheDocument();
  expect(screen.queryByText("API keys")).toBeNull();
  expect(screen.queryByText("People")).toBeNull();
  expect(screen.queryByText("Pages of your own")).toBeNull();
  expect(asked.map(({ path }) => path)).toEqual(["/v1/me", "/v1/limits"]);
});

it("asks before it keeps less, and links to the export", async () => {
  const user = userEvent.setup();
  const { asked } = showScreen(Screen, "/settings", answers([MINE]));
  const requests = await screen.findByLabelText("Keep requests for");
  expect(screen.getByRole("link", { name: "Export all of it" })).toHaveAttribute("href", "/v1/export");
  expect(screen.getByRole("button", { name: "Store how long" })).toBeDisabled();
  await user.type(requests, "7");
  await user.click(screen.getByRole("button", { name: "Store how long" }));
  expect(asked.some(({ method }) => method === "PUT")).toBe(false);
  const dialog = within(screen.getByRole("dialog"));
  await user.click(dialog.getByRole("button", { name: "Delete what is older" }));
  await waitFor(() => expect(bodyOf(asked, "PUT")).toEqual({ inputs_days: 7, delete_upstream: false }));
  expect(await screen.findByText(/^Now 30 days, as the deployment has it/)).toBeInTheDocument();
});
