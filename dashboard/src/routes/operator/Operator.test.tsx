import { screen, waitFor, within } from "@testing-library/react";
import { userEvent } from "@testing-library/user-event";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { type OperatorSession, operatorQuery } from "../../api/session";
import { type Asked, showScreen, signedIn } from "../../ui/testing";
import { Screen } from "./Operator";
// Comes when it is asked for, which is not to be waited for here.
import "./TenantPanel";

afterEach(() => vi.unstubAllGlobals());

const ACME = "ten_01m8grmkk1e009en89xdtmq5s6";
const FRESH = "ten_01m8grmktqe00by8cce88a1z6n";
const INCIDENT = "inc_18ppfb20008w08ysv8hxzkgznx";

const tenant = (id: string, name: string, of: object = {}) => ({
  id,
  name,
  weight: 100,
  created_at: "2026-11-28T09:44:01Z",
  queued: 0,
  submitted: 0,
  processing: 0,
  sent: 0,
  share: null,
  fair_share: null,
  waiting_since: null,
  ...of,
});

const ROWS = {
  as_of: "2026-11-28T09:45:21Z",
  data: [
    tenant(ACME, "acme", {
      queued: 1200,
      submitted: 30,
      sent: 400,
      share: 0.8696,
      fair_share: 0.5,
      waiting_since: "2026-11-28T09:44:43Z",
    }),
    tenant(FRESH, "initech", { share: 0 }),
  ],
  tenants: 2,
  waiting: 1,
  sent: 460,
};

const LIMITS = {
  data: [
    { name: "requests_per_second", value: 50, default: 50, own: false, used: null },
    { name: "queued_jobs", value: 7, default: 100, own: true, used: 3 },
  ],
  takes_jobs: true,
};

const DEPLOYMENT = {
  as_of: "2026-11-28T09:45:20Z",
  upstreams: [
    {
      id: "ups_00000000000000000000000000",
      name: "main",
      creates_per_minute: 1000,
      creates_last_minute: 3,
      max_queued_items: 100_000,
      queued_items: 100_000,
      open_batches: 1,
      pause: { reason: "Anthropic refuses the API key (401).", until: "2026-11-28T10:34:42Z" },
      listed_at: null,
    },
  ],
  incidents: [
    {
      id: INCIDENT,
      kind: "late_twin",
      meaning: "It was sent again, so this batch was paid besides.",
      at: "2026-11-28T09:22:00Z",
      tenant: ACME,
      tenant_name: "acme",
      upstream: null,
      upstream_batch: "msgbatch_013Zva2CMHLNnXjNJJKqJ2EF",
      detail: "A second message batch with the same 400 requests was found.",
      absorbed: "1.2843",
    },
  ],
  open_incidents: 1,
};

let answers: Record<string, unknown>;
beforeEach(() => {
  localStorage.clear();
  answers = {
    "GET /v1/operator/audit": { data: [], next_cursor: null },
    "GET /v1/operator/overview": DEPLOYMENT,
    "GET /v1/operator/tenants": ROWS,
    [`GET /v1/operator/tenants/${ACME}/spend`]: {
      data: [
        { day: "2026-11-27", cost: "0.25", cost_sync: "0.5" },
        { day: "2026-11-28", cost: "1", cost_sync: "2" },
      ],
    },
    [`GET /v1/operator/tenants/${FRESH}/spend`]: { data: [] },
    [`GET /v1/operator/tenants/${ACME}/limits`]: LIMITS,
    [`GET /v1/operator/tenants/${FRESH}/limits`]: LIMITS,
  };
});

function show(address = "/operator") {
  const queries = signedIn();
  const operator: OperatorSession = { name: "olga@example.com", expires_at: "2099-01-01T21:45:00Z" };
  queries.setQueryData(operatorQuery.queryKey, operator);
  return showScreen(Screen, address, answers, queries);
}

const sent = (asked: readonly Asked[], method: string) => asked.filter((one) => one.method === method);

it("shows limits in numbers, a pause, and what is open", async () => {
  show();
  expect(await screen.findByText("3 of 1,000 creates in the last minute")).toBeInTheDocument();
  expect(screen.getByText("100,000 of 100,000 requests queued there")).toHaveTextContent("at the limit");
  expect(screen.getByRole("alert")).toHaveTextContent("Anthropic refuses the API key (401).");
  expect(screen.getByText("Late twin", { exact: false })).toBeInTheDocument();
  expect(screen.getByText("cost $1.2843 beyond what tenants pay")).toBeInTheDocument();
  // The older of the two answers.
  expect(screen.getByText(/^as of/).querySelector("time")).toHaveAttribute("datetime", DEPLOYMENT.as_of);
});

it("shows what a tenant got beside what is fair", async () => {
  show();
  const table = within(await screen.findByRole("region", { name: "Tenants" }));
  const acme = table.getByRole("row", { name: /^acme/ });
  expect(acme).toHaveTextContent("1,200");
  expect(acme).toHaveTextContent("38 s");
  expect(acme).toHaveTextContent("400 · 87 %");
  expect(acme).toHaveTextContent("fair50 %");
  expect(table.getByRole("row", { name: /^initech/ })).toHaveTextContent("none waits");
});

it("resolves an incident after asking", async () => {
  const user = userEvent.setup();
  answers[`POST /v1/operator/incidents/${INCIDENT}/resolve`] = () => {
    answers["GET /v1/operator/overview"] = { ...DEPLOYMENT, incidents: [], open_incidents: 0 };
    return null;
  };
  const { asked } = show();
  await user.click(await screen.findByRole("button", { name: /^Resolve late twin/ }));
  expect(sent(asked, "POST")).toEqual([]);
  await user.click(screen.getByRole("button", { name: "Resolve" }));
  expect(await screen.findByText(/everything that was seen is dealt with/)).toBeInTheDocument();
});

it("changes a weight where it stands", async () => {
  const user = userEvent.setup();
  answers[`PATCH /v1/operator/tenants/${ACME}`] = null;
  const { asked } = show();
  await user.click(await screen.findByRole("button", { name: "Change the weight of acme: 100" }));
  const field = screen.getByRole("spinbutton", { name: /^Weight of acme/ });
  await user.keyboard("{Escape}");
  expect(field).not.toBeInTheDocument();
  await user.click(screen.getByRole("button", { name: "Change the weight of acme: 100" }));
  await user.keyboard("300{Enter}");
  expect(await screen.findByText("acme has the weight 300 from the next batches on")).toBeInTheDocument();
  expect(sent(asked, "PATCH").map(({ body }) => body)).toEqual(['{"weight":300}']);
});

it("keeps the search in the address, and asks the server", async () => {
  const user = userEvent.setup();
  answers["GET /v1/operator/tenants"] = ({ query }: Asked) => (query.q ? { ...ROWS, data: [] } : ROWS);
  const { router } = show();
  await user.type(await screen.findByRole("searchbox"), "zz");
  expect(await screen.findByText(/No tenant's name holds “zz”/)).toBeInTheDocument();
  expect(router.state.location.search).toEqual({ q: "zz" });
});

it("shows what a tenant was billed, as a chart and a table of the same", async () => {
  show(`/operator?id=${ACME}`);
  const panel = within(await screen.findByRole("complementary", { name: "Tenant" }));
  const table = within(await panel.findByRole("region", { name: "By day" }));
  expect(table.getByRole("row", { name: /^2026-11-28/ })).toHaveTextContent("2026-11-28$1.00$2.00$1.00");
  expect(table.getByRole("row", { name: /^All days/ })).toHaveTextContent("All days$1.25$2.50$1.25");
});

it("gives a tenant limits of its own, all at once", async () => {
  const user = userEvent.setup();
  answers[`PUT /v1/operator/tenants/${ACME}/limits`] = LIMITS;
  const { asked } = show(`/operator?id=${ACME}`);
  const head = await screen.findByRole("heading", { name: "Limits" });
  const limits = within(head.closest("section") as HTMLElement);
  expect(await limits.findByText(/3 of 7/)).toBeInTheDocument();
  await user.click(limits.getByRole("button", { name: "Change limits" }));
  await user.type(limits.getByLabelText("Requests a second"), "200");
  await user.clear(limits.getByLabelText("Jobs that wait"));
  await user.click(limits.getByRole("button", { name: "Store the limits" }));
  expect(await screen.findByText(/has these limits within five seconds/)).toBeInTheDocument();
  expect(sent(asked, "PUT").map(({ body }) => JSON.parse(body))).toEqual([{ requests_per_second: 200 }]);
});

it("makes a tenant, and then its first admin", async () => {
  const user = userEvent.setup();
  answers["POST /v1/operator/tenants"] = () =>
    Response.json(
      {
        type: "/problems/name_taken",
        title: "The name is taken",
        status: 409,
        code: "name_taken",
        detail: 'there is a tenant "initech" already; choose another name',
      },
      { status: 409 },
    );
  answers[`POST /v1/operator/tenants/${FRESH}/people`] = {
    id: "per_01m8grd4y3e00a93jv64q0be7j",
    link: "https://offpeak.example/sign-in#ofp_link_first",
    expires_at: "2026-11-29T09:39:57Z",
  };
  const { asked, router } = show();
  await user.click(await screen.findByRole("button", { name: "Make a tenant" }));
  const name = await screen.findByLabelText("Name");
  await user.type(name, "initech");
  await user.click(screen.getByRole("button", { name: "Make it, and invite its admin" }));
  await waitFor(() => expect(name).toHaveAccessibleDescription(/choose another name/));
  answers["POST /v1/operator/tenants"] = { id: FRESH, name: "initech" };
  await user.click(screen.getByRole("button", { name: "Make it, and invite its admin" }));
  const dialog = within(await screen.findByRole("dialog", { name: /^Invite the first admin/ }));
  expect(router.state.location.search).toEqual({ id: FRESH });
  expect(dialog.getByRole("radio", { name: /^Admin/ })).toBeChecked();
  await user.type(dialog.getByLabelText("Name"), "ada@initech.example");
  await user.click(dialog.getByRole("button", { name: "Make the link" }));
  expect(await screen.findByText("https://offpeak.example/sign-in#ofp_link_first")).toBeInTheDocument();
  expect(sent(asked, "POST").at(-1)?.body).toBe('{"name":"ada@initech.example","role":"admin"}');
});

it("asks why before it looks inside, and leads to that tenant", async () => {
  const user = userEvent.setup();
  answers[`POST /v1/operator/tenants/${ACME}/look`] = { operator: true, expires_at: "2026-11-28T10:15:00Z" };
  answers["GET /v1/session"] = {
    tenant: ACME,
    name: "acme",
    key: null,
    person: "olga@example.com",
    role: null,
    operator: true,
    scopes: ["jobs:read", "results:read"],
    upstream: { name: "main", standin: false },
    expires_at: "2026-11-28T10:15:00Z",
  };
  const { asked, router } = show(`/operator?id=${ACME}`);
  await user.click(await screen.findByRole("button", { name: "Look inside" }));
  const dialog = within(screen.getByRole("dialog"));
  expect(dialog.getByText(/audit log/)).toBeInTheDocument();
  expect(dialog.getByText(/takes the place of what you have open of demo/)).toBeInTheDocument();
  expect(dialog.getByRole("button", { name: "Look inside" })).toBeDisabled();
  await user.type(dialog.getByLabelText("Reason"), "a ticket of theirs");
  await user.click(dialog.getByRole("button", { name: "Look inside" }));
  await waitFor(() => expect(router.state.location.pathname).toBe("/"));
  expect(sent(asked, "POST").map(({ body }) => body)).toEqual(['{"reason":"a ticket of theirs"}']);
});

it("says how an operator signs in where none is", async () => {
  const { asked } = showScreen(Screen, "/operator", answers);
  expect(await screen.findByText("Nobody is signed in as an operator")).toBeInTheDocument();
  expect(asked).toEqual([]);
});

it("signs the operator out", async () => {
  const user = userEvent.setup();
  answers["DELETE /v1/operator/session"] = null;
  show();
  await user.click(await screen.findByRole("button", { name: "Sign out as operator" }));
  expect(await screen.findByText("Nobody is signed in as an operator")).toBeInTheDocument();
});
