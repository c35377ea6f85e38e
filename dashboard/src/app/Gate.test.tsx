import { screen, waitFor } from "@testing-library/react";
import { userEvent } from "@testing-library/user-event";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { createQueryClient } from "../api/query";
import { live } from "../live/live";
import { showScreen } from "../ui/testing";
import { Gate } from "./Gate";
import { forgetLink, link } from "./link";

beforeEach(() => {
  localStorage.clear();
  vi.spyOn(live, "start").mockReturnValue(() => {});
});
afterEach(() => {
  forgetLink();
  history.replaceState(null, "", "/");
  vi.unstubAllGlobals();
});

const VIEWER = {
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
const OPERATOR = { name: "olga@example.com", expires_at: "2026-11-28T21:43:35Z" };
const refused = (status: number, code: string) =>
  Response.json(
    { type: `/problems/${code}`, title: "No", status, code, detail: "the link was used before" },
    { status },
  );

/** As an address that is opened where the page is already. */
function open(secret: string) {
  history.replaceState(null, "", `/sign-in#${secret}`);
  dispatchEvent(new HashChangeEvent("hashchange"));
}

const show = async (address: string, answers: Record<string, unknown>) => {
  const { watchLink } = await import("./link");
  watchLink();
  return showScreen(Gate, address, answers, createQueryClient());
};

it("signs in by a link, which goes from the address at once, and offers what a viewer may do", async () => {
  open("ofp_link_secret");
  const { asked, router } = await show("/sign-in", {
    "POST /v1/session/link": { operator: false, expires_at: VIEWER.expires_at },
    "GET /v1/session": VIEWER,
  });
  expect(location.hash).toBe("");
  expect((await screen.findAllByText("bob@example.com")).length).toBeGreaterThan(0);
  expect(asked[0]).toMatchObject({ path: "/v1/session/link", body: '{"link":"ofp_link_secret"}' });
  expect(asked.filter(({ method }) => method === "POST")).toHaveLength(1);
  expect(router.state.location.pathname).toBe("/");
  expect(link.current().secret).toBeUndefined();
  const screens = screen.getAllByRole("navigation", { name: "Screens", hidden: true })[0];
  expect(screens).toHaveTextContent("Jobs");
  expect(screens).not.toHaveTextContent("Submit");
  expect(screens).not.toHaveTextContent("Operator");
});

it("says what to do with a link that was used, and with one that is not whole", async () => {
  const user = userEvent.setup();
  const answers: Record<string, unknown> = {
    "POST /v1/session/link": () => refused(401, "unauthenticated"),
  };
  const { asked } = await show("/sign-in", answers);
  await screen.findByLabelText("API key");
  open("ofp_link_used");
  expect(await screen.findByRole("alert")).toHaveTextContent("Ask whoever sent it for another one");
  answers["POST /v1/session/link"] = () => refused(422, "invalid_input");
  open("ofp_link_ha");
  await waitFor(() => expect(screen.getByRole("alert")).toHaveTextContent("Copy all of it"));
  expect(asked.filter(({ method }) => method === "POST")).toHaveLength(2);
  await user.click(screen.getByRole("button", { name: "Sign in another way" }));
  expect(await screen.findByLabelText("API key")).toBeInTheDocument();
});

it("leads an operator, who is of no tenant, to the operator's page", async () => {
  localStorage.setItem("offpeak.operator", "yes");
  const { router } = await show("/jobs", { "GET /v1/operator/session": OPERATOR });
  expect((await screen.findAllByText("olga@example.com")).length).toBeGreaterThan(0);
  expect(router.state.location.pathname).toBe("/operator");
  const screens = screen.getAllByRole("navigation", { name: "Screens", hidden: true })[0];
  expect(screens).toHaveTextContent(/^Operator$/);
});

it("says while an operator looks at a tenant, and leads back", async () => {
  const user = userEvent.setup();
  localStorage.setItem("offpeak.operator", "yes");
  localStorage.setItem("offpeak.signedIn", "yes");
  const { asked, router } = await show("/jobs", {
    "GET /v1/operator/session": OPERATOR,
    "GET /v1/session": { ...VIEWER, person: OPERATOR.name, role: null, operator: true },
    "DELETE /v1/session": null,
  });
  const leave = await screen.findByRole("button", { name: "Leave" });
  expect(leave.parentElement).toHaveTextContent("You look at acme as its operator, reading only, until");
  await user.click(leave);
  await waitFor(() => expect(router.state.location.pathname).toBe("/operator"));
  expect(router.state.location.search).toEqual({ id: VIEWER.tenant });
  expect(asked.some(({ method, path }) => method === "DELETE" && path === "/v1/session")).toBe(true);
  await waitFor(() => expect(screen.queryByRole("button", { name: "Leave" })).toBeNull());
});

it("leads an operator whose session ended to the door, and says so", async () => {
  localStorage.setItem("offpeak.operator", "yes");
  await show("/operator", {
    "GET /v1/operator/session": OPERATOR,
    "GET /v1/operator/overview": () => refused(401, "unauthenticated"),
  });
  // The screen itself asks; here it does so in its place.
  await screen.findAllByText("olga@example.com");
  const { api } = await import("../api/client");
  await api.GET("/v1/operator/overview").catch(() => {});
  expect(await screen.findByText(/Your session is over/)).toBeInTheDocument();
  expect(screen.getByLabelText("API key")).toBeInTheDocument();
});
