import { notifyManager, QueryClient } from "@tanstack/react-query";
import { asProblem } from "./problem";

/** `"topic"`: kept right by a topic of the live connection, and so read anew at its first `hello`. */
declare module "@tanstack/react-query" {
  interface Register {
    defaultError: Error;
    queryMeta: { live?: "topic" | "watched" };
  }
}

/** Queries fetch, page and retry; what changes in a row comes live, never by asking again for each event. */
export function createQueryClient(): QueryClient {
  // However many answers arrive, the page is rendered once a frame.
  notifyManager.setScheduler((render) => {
    if (document.visibilityState === "visible") requestAnimationFrame(render);
    else setTimeout(render, 0); // a hidden page gets no frames
  });
  return new QueryClient({
    defaultOptions: {
      queries: {
        staleTime: 30_000,
        gcTime: 5 * 60_000,
        // Comparing every row of a long list with the one before costs more than rendering it.
        structuralSharing: false,
        refetchOnWindowFocus: false, // the live connection knows what was missed
        retry: (failures, error) => {
          const { status } = asProblem(error);
          return failures < 3 && (status === 0 || status === 429 || status >= 500);
        },
        retryDelay: (failures) => Math.random() * Math.min(10_000, 500 * 2 ** failures),
      },
      mutations: { retry: false },
    },
  });
}
