// The one way to the server: typed by its OpenAPI document, with the session's cookie, and every
// failure thrown as a `Problem`.

import createClient from "openapi-fetch";
import { root } from "../lib/root";
import { Problem, problemOf, unreachable } from "./problem";
import type { components, paths } from "./schema";

export type Schemas = components["schemas"];

/** After which an answer is not waited for any more. */
const PATIENCE = 30_000;

type Listener = (problem: Problem) => void;
const refused = new Set<Listener>();

/** Calls when a request is answered with 401: the session is over. */
export function onSignedOut(listener: Listener): () => void {
  refused.add(listener);
  return () => refused.delete(listener);
}

export const api = createClient<paths>({
  baseUrl: root.replace(/\/$/, ""),
  credentials: "same-origin",
  // `fetch` is looked up at each call, so that a test can replace it.
  fetch: async (request) => {
    const signal = AbortSignal.any([request.signal, AbortSignal.timeout(PATIENCE)]);
    const response = await fetch(request, { signal }).catch((error: unknown) => {
      if (request.signal.aborted) throw error; // nobody waits for it any more
      throw unreachable();
    });
    if (response.ok) return response;
    const problem = await problemOf(response);
    // A wrong key at sign-in is no session that ended.
    const signingIn = request.method === "POST" && request.url.endsWith("/v1/session");
    if (problem.status === 401 && !signingIn) for (const listener of refused) listener(problem);
    throw problem;
  },
});

/** The body of an answer; failures were thrown before. */
export function body<T>(answer: { data?: T }): T {
  if (answer.data === undefined)
    throw new Problem({ status: -1, code: "no_body", detail: "An answer of the server was empty." });
  return answer.data;
}

/** Where the document says no more than "an object", the generator reads "an empty one". */
export const anyObject = (value: Readonly<Record<string, unknown>>) => value as Record<string, never>;
