// Nobody sees a screen without a session: this is the door, and what runs behind it.

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Outlet } from "@tanstack/react-router";
import { lazy, Suspense, useEffect, useState } from "react";
import { onSignedOut } from "../api/client";
import { asProblem } from "../api/problem";
import { type Session, sessionQuery } from "../api/session";
import { useConnection } from "../live/hooks";
import { live } from "../live/live";
import { ProblemNote } from "../ui/ProblemNote";
import { Toaster } from "../ui/Toast";
import { Shell } from "./Shell";

const SignIn = lazy(() => import("./SignIn").then(({ SignIn }) => ({ default: SignIn })));

export function Gate() {
  const session = useQuery(sessionQuery);
  const [over, setOver] = useState(false);
  const queries = useQueryClient();
  const { phase } = useConnection();

  useEffect(() => onSignedOut(() => live.signedOut()), []);
  useEffect(() => {
    if (phase !== "signed_out") return;
    setOver(true);
    queries.setQueryData(sessionQuery.queryKey, null);
  }, [phase, queries]);

  return (
    <>
      {session.data ? (
        <SignedIn session={session.data} />
      ) : session.isPending ? (
        <p className="late p-6 text-ink3">Connecting</p>
      ) : session.isError ? (
        <ProblemNote error={session.error} onRetry={() => void session.refetch()} />
      ) : (
        <Suspense>
          <SignIn over={over} onSignedIn={() => setOver(false)} />
        </Suspense>
      )}
      <Toaster />
    </>
  );
}

function SignedIn({ session }: { session: Session }) {
  const queries = useQueryClient();
  useEffect(() => {
    const end = live.start({
      refresh: (what) =>
        queries.refetchQueries({
          type: "active",
          predicate: ({ queryKey, meta }) =>
            queryKey[0] !== "session" && (what === "all" || meta?.live === "topic"),
        }),
      probe: async () => {
        const answer = await queries
          .fetchQuery({ ...sessionQuery, staleTime: 0, retry: false })
          .catch((error: unknown) => asProblem(error));
        if (answer === null) return "signed_out";
        return answer instanceof Error ? "down" : "ok";
      },
    });
    return () => {
      end();
      // What one tenant saw is not there for the next.
      queries.removeQueries({ predicate: ({ queryKey }) => queryKey[0] !== "session" });
    };
  }, [queries]);
  return (
    <Shell session={session}>
      <Outlet />
    </Shell>
  );
}
