// What the page asks of its own backend, `server.mjs`.
import { PATIENCE, type Ticket } from "./client";

export type Session = { user: string; users: string[] };

async function ask<T>(path: string, body?: object, headers?: Record<string, string>): Promise<T> {
  const json = { "content-type": "application/json", ...headers };
  const post = body && { method: "POST", body: JSON.stringify(body), headers: json };
  const answer = await fetch(path, { ...post, signal: AbortSignal.timeout(PATIENCE) }).catch(() => {
    throw new Error("This page's server cannot be reached.");
  });
  const found = await answer.json().catch(() => ({ detail: `${answer.status} ${answer.statusText}` }));
  if (!answer.ok) throw new Error(found.detail);
  return found;
}

export const getSession = () => ask<Session>("/api/session");
export const signIn = (user: string) => ask<Session>("/api/session", { user });
export const getTicket = () => ask<Ticket>("/api/ticket");

/** Queues a summary. With the same `once` it is queued once, however often it is sent. */
export const queue = (text: string, once: string) =>
  ask<{ id: string }>("/api/jobs", { text }, { "idempotency-key": once });

const titles = new Map<string, Promise<string>>();
let asked: Promise<Record<string, string>> | undefined;

/** What the backend calls a job. Titles asked for together are fetched together. */
export function title(id: string): Promise<string> {
  let found = titles.get(id);
  if (!found) {
    asked ??= ask("/api/titles");
    queueMicrotask(() => {
      asked = undefined;
    });
    found = asked.then((all) => all[id] ?? "Untitled").catch(() => "Untitled");
    titles.set(id, found);
  }
  return found;
}
