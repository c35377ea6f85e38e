// For tests of screens: the screen at an address, with a server that answers what it is told.

import { type QueryClient, QueryClientProvider } from "@tanstack/react-query";
import {
  createMemoryHistory,
  createRootRoute,
  createRoute,
  createRouter,
  RouterProvider,
} from "@tanstack/react-router";
import { render } from "@testing-library/react";
import type { ComponentType } from "react";
import { vi } from "vitest";
import { createQueryClient } from "../api/query";
import { type Scope, type Session, sessionQuery } from "../api/session";
import { parseSearch, printSearch } from "../lib/filter";
import { Toaster } from "./Toast";

export type Asked = { method: string; path: string; query: Record<string, string>; body: string };

type Answer = unknown | ((asked: Asked) => unknown);

const MAY: readonly Scope[] = ["jobs:read", "results:read", "jobs:write", "settings:manage", "keys:manage"];

/** A cache in which somebody is signed in: an admin by a key, who may do everything, unless `who` says else. */
export function signedIn(who: Partial<Session> = {}): QueryClient {
  const queries = createQueryClient();
  queries.setQueryData(sessionQuery.queryKey, {
    tenant: "ten_01m8gejv2ge00a70dj0c2xv2w8",
    name: "demo",
    key: "ofp_live_…aaaa",
    person: null,
    role: null,
    operator: false,
    scopes: [...MAY],
    upstream: { name: "stand-in", standin: true },
    expires_at: "2099-01-01T00:00:00Z",
    ...who,
  });
  return queries;
}

/** `answers`: by `GET /v1/usage`. What is not there is a 404; a `Response` goes out as it is. */
export function showScreen(
  Screen: ComponentType,
  address: string,
  answers: Record<string, Answer>,
  queries: QueryClient = signedIn(),
) {
  const asked: Asked[] = [];
  vi.stubGlobal("fetch", async (request: Request) => {
    const url = new URL(request.url, "http://localhost");
    const one: Asked = {
      method: request.method,
      path: url.pathname,
      query: Object.fromEntries(url.searchParams),
      body: request.method === "GET" ? "" : await request.text(),
    };
    asked.push(one);
    const answer = answers[`${one.method} ${one.path}`];
    const value = typeof answer === "function" ? (answer as (asked: Asked) => unknown)(one) : answer;
    if (value instanceof Response) return value;
    if (value === undefined)
      return Response.json(
        { type: "/problems/not_found", title: "Not found", status: 404, code: "not_found", detail: one.path },
        { status: 404 },
      );
    return value === null ? new Response(null, { status: 204 }) : Response.json(value);
  });
  // Frames of the screen come at once.
  vi.stubGlobal("requestAnimationFrame", (call: FrameRequestCallback) => setTimeout(() => call(0), 0));
  vi.stubGlobal(
    "ResizeObserver",
    class {
      readonly tell: (entries: { contentRect: { width: number } }[]) => void;
      constructor(tell: (entries: { contentRect: { width: number } }[]) => void) {
        this.tell = tell;
      }
      observe() {
        this.tell([{ contentRect: { width: 800 } }]);
      }
      unobserve() {}
      disconnect() {}
    },
  );
  const rootRoute = createRootRoute();
  const screen = createRoute({
    getParentRoute: () => rootRoute,
    path: "$",
    validateSearch: (search: Record<string, unknown>) => search as Record<string, string>,
    component: () => <Screen />,
  });
  const router = createRouter({
    routeTree: rootRoute.addChildren([screen]),
    history: createMemoryHistory({ initialEntries: [address] }),
    parseSearch,
    stringifySearch: printSearch,
  });
  render(
    <QueryClientProvider client={queries}>
      <RouterProvider router={router as never} />
      <Toaster />
    </QueryClientProvider>,
  );
  return { asked, router };
}
