// Whatever goes wrong with a request, in one shape and with words for a person.

import type { components } from "./schema";

/** The API's problem details (RFC 9457), thrown. `status` 0: no answer came at all. */
export class Problem extends Error {
  override name = "Problem";
  readonly title: string;
  readonly status: number;
  readonly code: string;
  readonly requestId: string | undefined;
  readonly fields: readonly components["schemas"]["FieldError"][];

  constructor(details: Partial<components["schemas"]["Problem"]> & { status: number; code: string }) {
    super(details.detail ?? details.title ?? details.code);
    this.title = details.title ?? "It did not work";
    this.status = details.status;
    this.code = details.code;
    this.requestId = details.request_id;
    this.fields = details.errors ?? [];
  }
}

/** Nobody answered: the server is down, or the network is. */
export const unreachable = () =>
  new Problem({
    status: 0,
    code: "unreachable",
    title: "The server cannot be reached",
    detail: "No answer came from offpeak.",
  });

/** Of an answer that says no. Not every one is ours: a proxy's page is not problem details. */
export async function problemOf(response: Response): Promise<Problem> {
  const body: unknown = await response.json().catch(() => undefined);
  if (isDetails(body)) return new Problem(body);
  return new Problem({
    status: response.status,
    code: "foreign_answer",
    title: `The answer was ${response.status}${response.statusText && ` ${response.statusText}`}`,
    detail: "It did not come from offpeak itself; something between it and this page may have given it.",
  });
}

function isDetails(body: unknown): body is components["schemas"]["Problem"] {
  return (
    typeof body === "object" &&
    body !== null &&
    "code" in body &&
    "status" in body &&
    typeof body.status === "number"
  );
}

/** Anything thrown, as a problem. */
export function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  // `fetch` says a lost network as a TypeError.
  if (error instanceof TypeError || (error instanceof DOMException && error.name === "TimeoutError"))
    return unreachable();
  return new Problem({
    status: -1,
    code: "page_error",
    title: "This page has a fault",
    detail: error instanceof Error ? error.message : String(error),
  });
}

/** What the reader can do about it, by what it is. */
export function nextStep(problem: Problem): string {
  switch (problem.status) {
    case 0:
      return "Check that the server runs and that you are online. This page tries again by itself.";
    case 401:
      return "Sign in again.";
    case 402:
      return "Raise the budget, or wait for its next period.";
    case 403:
      if (problem.code === "missing_scope") return ""; // the answer says who can change that
      break;
    case 404:
      return "Check the id. It may belong to another tenant, or its retention is over.";
    case 409:
      return "Look at its state: it has changed since.";
    case 429:
      return "Wait a moment, then try again.";
    case -1:
      return "Reload the page. If it comes back, report the message above.";
  }
  if (problem.status >= 500)
    return "Try again in a moment. If it stays, give the request id to whoever runs the server.";
  return "Change what is named above and try again.";
}
