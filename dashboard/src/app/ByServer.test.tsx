import { screen, waitFor } from "@testing-library/react";
import { userEvent } from "@testing-library/user-event";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { createQueryClient } from "../api/query";
import { live } from "../live/live";
import { showScreen } from "../ui/testing";
import { Gate } from "./Gate";
import { forgetLink } from "./link";

beforeEach(() => {
  localStorage.clear();
  vi.spyOn(live, "start").mockReturnValue(() => {});
});
afterEach(() => {
  forgetLink();
  history.replaceState(null, "", "/");
  vi.unstubAllGlobals();
});

const SESSION = {
  tenant: "ten_01m8grmkk1e009en89xdtmq5s6",
  name: "acme",
  key: null,
  person: "bob@example.com",
  role: "viewer",
  operator: false,
  scopes: ["jobs:read", "results:read"],
  upstream: { name: "main", standin: false },
  expires_at: "2026-11-28T21:43:35Z",
};
const ENTERED = { operator: false, expires_at: SESSION.expires_at };
const BACK = "POST /v1/session/oidc/callback";
const CHOOSE = "POST /v1/session/oidc/tenant";
const WAYS = { "GET /v1/session/ways": { identity_server: { name: "Example Ltd" } } };

const refused = (status: number, code: string, detail: string) =>
  Response.json(
    { type: `/problems/${code}`, title: "No", status, code, detail, request_id: "req_1" },
    { status },
  );

async function show(address: string, answers: Record<string, unknown>) {
  history.replaceState(null, "", address);
  const { watchLink } = await import("./link");
  watchLink();
  return showScreen(Gate, "/sign-in", answers, createQueryClient());
}

it("offers the identity server by its name, and goes there", async () => {
  const user = userEvent.setup();
  const assign = vi.spyOn(location, "assign").mockImplementation(() => {});
  await show("/sign-in", {
    ...WAYS,
    "POST /v1/session/oidc": { url: "https://login.example/authorize?a=b" },
  });
  await user.click(await screen.findByRole("button", { name: "Sign in with Example Ltd" }));
  await waitFor(() => expect(assign).toHaveBeenCalledWith("https://login.example/authorize?a=b"));
  expect(screen.getByLabelText("API key")).toBeInTheDocument();
});

it("offers none where none is set up, or where nobody can be asked", async () => {
  for (const ways of [{ identity_server: null }, () => refused(503, "unavailable", "later")]) {
    const { asked } = await show("/sign-in", { "GET /v1/session/ways": ways });
    await screen.findAllByLabelText("API key");
    await waitFor(() => expect(asked.some(({ path }) => path === "/v1/session/ways")).toBe(true));
    expect(screen.queryByRole("button", { name: /Sign in with/ })).toBeNull();
  }
});

it("says at the door that the identity server is down", async () => {
  const user = userEvent.setup();
  const down = () => refused(503, "identity_server_down", "the identity server does not answer: try again");
  await show("/sign-in", { ...WAYS, "POST /v1/session/oidc": down });
  await user.click(await screen.findByRole("button", { name: "Sign in with Example Ltd" }));
  expect(await screen.findByRole("alert")).toHaveTextContent(
    /^the identity server does not answer: try again$/,
  );
});

it("signs in whoever comes back, with nothing of it left in the address", async () => {
  const { asked } = await show(
    "/sign-in/oidc?code=c%2F1&state=s&iss=https%3A%2F%2Flogin.example&session_state=x",
    {
      [BACK]: () => Response.json(ENTERED, { status: 201 }),
      "GET /v1/session": SESSION,
    },
  );
  expect(location.href).not.toContain("code=");
  expect((await screen.findAllByText("bob@example.com")).length).toBeGreaterThan(0);
  const [first] = asked;
  expect(first?.path).toBe("/v1/session/oidc/callback");
  expect(JSON.parse(first?.body ?? "")).toEqual({ state: "s", code: "c/1", iss: "https://login.example" });
  expect(asked.filter(({ method }) => method === "POST")).toHaveLength(1);
});

it("asks who is of several tenants which", async () => {
  const user = userEvent.setup();
  const tenants = [
    { id: "ten_a", name: "acme" },
    { id: "ten_b", name: "orchard" },
  ];
  const { asked } = await show("/sign-in/oidc?code=c&state=s", {
    [BACK]: { tenants },
    [CHOOSE]: () => Response.json(ENTERED, { status: 201 }),
    "GET /v1/session": SESSION,
  });
  await user.click(await screen.findByRole("button", { name: "orchard" }));
  expect((await screen.findAllByText("bob@example.com")).length).toBeGreaterThan(0);
  const chosen = asked.filter(({ path }) => path === "/v1/session/oidc/tenant");
  expect(chosen.map(({ body }) => body)).toEqual(['{"tenant":"ten_b"}']);
});

it("says what became of a sign-in that opens nothing, and what to do", async () => {
  const user = userEvent.setup();
  for (const [status, code, title] of [
    [409, "sign_in_over", "This sign-in is over"],
    [403, "sign_in_refused", "The identity server did not let you in"],
    [403, "not_invited", "Nobody has added you yet"],
    [403, "address_not_verified", "Your address is not verified"],
    [502, "identity_unproven", "The identity server's answer does not hold"],
    [503, "identity_server_down", "The identity server does not answer"],
  ] as const) {
    const { asked } = await show("/sign-in/oidc?error=access_denied&state=s", {
      [BACK]: () => refused(status, code, "this is why: do that"),
    });
    const alert = await screen.findByRole("alert");
    await waitFor(() => expect(screen.getByRole("heading", { name: title })).toBeInTheDocument());
    expect(alert).toHaveTextContent("This is why: do that.");
    expect(alert).toHaveTextContent("req_1");
    expect(JSON.parse(asked[0]?.body ?? "")).toEqual({ state: "s", error: "access_denied" });
    expect(screen.getByRole("button", { name: "Try again" })).toBeInTheDocument();
    await user.click(screen.getByRole("button", { name: "Sign in another way" }));
    expect((await screen.findAllByLabelText("API key")).length).toBeGreaterThan(0);
    document.body.innerHTML = "";
  }
});

it("is one more answer that nobody foresaw when it is one", async () => {
  await show("/sign-in/oidc?code=c&state=s", {
    [BACK]: () => refused(500, "internal", "something is wrong"),
  });
  expect(await screen.findByRole("alert")).toHaveTextContent(
    "give the request id to whoever runs the server",
  );
});
