// The one way to the server: typed by its OpenAPI document, with the session's cookie, and every
// failure thrown as a `Problem`.

import createClient from "openapi-fetch";
import { root } from "../lib/root";
import { Problem, problemOf, unreachable } from "./problem";
import type { components, paths } from "./schema";

export type Schemas = components["schemas"];

/** After which an answer is not waited for any more. */
const PATIENCE = 30_000;

type Listener = (operator: boolean) => void;
const refused = new Set<Listener>();

/** Calls when a request is answered with 401: the session is over, that of the operator or of the tenant. */
export function onSignedOut(listener: Listener): () => void {
  refused.add(listener);
  return () => refused.delete(listener);
}

async function send(request: Request, patience?: number): Promise<Response> {
  const limits = patience === undefined ? [] : [AbortSignal.timeout(patience)];
  const signal = AbortSignal.any([request.signal, ...limits]);
  // `fetch` is looked up at each call, so that a test can replace it.
  const response = await fetch(request, { signal }).catch((error: unknown) => {
    if (request.signal.aborted) throw error; // nobody waits for it any more
    throw unreachable();
  });
  if (response.ok) return response;
  const problem = await problemOf(response);
  // A wrong key or link at sign-in is no session that ended.
  const signingIn = request.method === "POST" && /\/v1\/session(\/link)?$/.test(request.url);
  if (problem.status === 401 && !signingIn)
    for (const listener of refused) listener(request.url.includes("/v1/operator/"));
  throw problem;
}

export const api = createClient<paths>({
  baseUrl: root.replace(/\/$/, ""),
  credentials: "same-origin",
  fetch: (request) => send(request, PATIENCE),
});

/** For uploads. How far one has come `fetch` does not say, so no clock ends it, but its own signal: there
 *  must be a button for that. */
export const unhurried = (request: Request) => send(request);

/** The body of an answer; failures were thrown before. */
export function body<T>(answer: { data?: T }): T {
  if (answer.data === undefined)
    throw new Problem({ status: -1, code: "no_body", detail: "An answer of the server was empty." });
  return answer.data;
}

/** Where the document says no more than "an object", the generator reads "an empty one". */
export const anyObject = (value: Readonly<Record<string, unknown>>) => value as Record<string, never>;
