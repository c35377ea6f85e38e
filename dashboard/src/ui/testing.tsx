// For tests of screens: the screen at an address, with a server that answers what it is told.

import { QueryClientProvider } from "@tanstack/react-query";
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
import { parseSearch, printSearch } from "../lib/filter";
import { Toaster } from "./Toast";

export type Asked = { method: string; path: string; query: Record<string, string>; body: string };

type Answer = unknown | ((asked: Asked) => unknown);

/** `answers`: by `GET /v1/usage`. What is not there is a 404; a `Response` goes out as it is. */
export function showScreen(Screen: ComponentType, address: string, answers: Record<string, Answer>) {
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
    <QueryClientProvider client={createQueryClient()}>
      <RouterProvider router={router as never} />
      <Toaster />
    </QueryClientProvider>,
  );
  return { asked, router };
}
