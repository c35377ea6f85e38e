// The backend of the page: it holds offpeak's key, which no browser ever sees, says
// who is signed in, and hands out tickets that open that user's jobs for minutes.
//
// OFFPEAK_URL and OFFPEAK_KEY say where offpeak is and what opens it. OFFPEAK_PUBLIC_URL
// is how browsers reach it, if not as we do; ORIGIN how they reach us; PORT where we listen;
// TICKET_SECONDS how long a ticket is good.

import { createServer } from "node:http";
import { policy, serve } from "./static.mjs";

const { OFFPEAK_URL, OFFPEAK_KEY, PORT = "3000", TICKET_SECONDS = "600" } = process.env;
if (!OFFPEAK_URL || !OFFPEAK_KEY) throw new Error("OFFPEAK_URL and OFFPEAK_KEY are not set");
const PUBLIC_URL = (process.env.OFFPEAK_PUBLIC_URL ?? OFFPEAK_URL).replace(/\/$/, "");
const ORIGIN = process.env.ORIGIN ?? `http://127.0.0.1:${PORT}`;
const USERS = ["ada", "ben"];

class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/** Asks offpeak. What a person can mend is passed on in its words; the rest is ours to mend. */
async function offpeak(method, path, body, headers = {}) {
  const answer = await fetch(new URL(path, OFFPEAK_URL), {
    method,
    headers: { authorization: `Bearer ${OFFPEAK_KEY}`, "content-type": "application/json", ...headers },
    body: body && JSON.stringify(body),
    signal: AbortSignal.timeout(15_000),
  }).catch(() => {
    throw new Refused(503, "The queue does not answer.");
  });
  const found = await answer.json().catch(() => ({}));
  if (answer.ok) return found;
  const faults = found.errors?.map(({ field, message }) => `The ${field.split("/").at(-1)} ${message}.`);
  const detail = faults?.length > 0 ? faults.join(" ") : found.detail;
  if ([400, 409, 413, 422, 429].includes(answer.status)) throw new Refused(answer.status, detail);
  console.error(`${method} ${path}: ${answer.status} ${detail}`);
  throw new Refused(502, "The queue does not do as asked. We were told.");
}

/** A stand-in of your own sign-in: whoever asks for a name has it. */
const signedIn = (request) => USERS.find((user) => request.headers.cookie?.includes(`user=${user}`)) ?? USERS[0];

const routes = {
  "GET /api/session": async (user) => ({ user, users: USERS }),
  "POST /api/session": async (_, { user }, __, response) => {
    if (!USERS.includes(user)) throw new Refused(422, "There is no such user.");
    response.setHeader("set-cookie", `user=${user}; Path=/; HttpOnly; SameSite=Strict`);
    return { user, users: USERS };
  },
  "GET /api/ticket": async (user) => {
    const { ticket } = await offpeak("POST", "/v1/live/tickets", { user, ttl: Number(TICKET_SECONDS) });
    return { url: PUBLIC_URL, ticket };
  },
  "GET /api/titles": async (user) => {
    const { data } = await offpeak("GET", `/v1/jobs?limit=200&user=${user}`);
    return Object.fromEntries(data.map((job) => [job.id, job.metadata?.title]));
  },
  "POST /api/jobs": async (user, { text }, headers) => {
    const title = String(text).trim().split("\n")[0].slice(0, 80);
    const job = { type: "summarize", input: { text }, user, metadata: { title } };
    const once = headers["idempotency-key"];
    return offpeak("POST", "/v1/jobs", job, once && { "idempotency-key": once }).then(({ id }) => ({ id }));
  },
};

/** The answer to one request of `/api/`. */
async function act(request, response) {
  const route = routes[`${request.method} ${request.url}`];
  if (!route) throw new Refused(404, "There is no such path.");
  let text = "";
  for await (const piece of request.setEncoding("utf8")) {
    text += piece;
    if (text.length > 4_000_000) throw new Refused(413, "The document is too long.");
  }
  // Another site's form cannot send this type, so that none acts in a user's name.
  const json = request.headers["content-type"] === "application/json";
  if (text && !json) throw new Refused(415, "The body is not JSON.");
  return route(signedIn(request), JSON.parse(text || "null"), request.headers, response);
}

const server = createServer(async (request, response) => {
  response.setHeader("content-security-policy", policy(PUBLIC_URL));
  response.setHeader("x-content-type-options", "nosniff");
  if (serve(request, response)) return;
  response.setHeader("cache-control", "no-store").setHeader("content-type", "application/json");
  try {
    response.end(JSON.stringify(await act(request, response)));
  } catch (error) {
    if (error instanceof SyntaxError) error = new Refused(400, "The body is not valid JSON.");
    if (!(error instanceof Refused)) console.error(error);
    response.statusCode = error.status ?? 500;
    response.end(JSON.stringify({ detail: error.status ? error.message : "Something is wrong on this side." }));
  }
});

// Only pages of origins that the tenant listed may use its tickets. Others may stand there.
const { origins } = await offpeak("GET", "/v1/live/origins");
await offpeak("PUT", "/v1/live/origins", { origins: [...new Set([...origins, ORIGIN])] });
server.listen(Number(PORT), "127.0.0.1", () => console.log(ORIGIN));
