// Nobody sees a screen without a session: this is the door, and what runs behind it.

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Navigate, Outlet, useLocation } from "@tanstack/react-router";
import { lazy, Suspense, useEffect, useState, useSyncExternalStore } from "react";
import { onSignedOut } from "../api/client";
import { asProblem } from "../api/problem";
import { type OperatorSession, operatorQuery, type Session, sessionQuery } from "../api/session";
import { useConnection } from "../live/hooks";
import { live } from "../live/live";
import { ProblemNote } from "../ui/ProblemNote";
import { Toaster, toast } from "../ui/Toast";
import { link } from "./link";
import { Shell } from "./Shell";
import { DOOR_PATH, OPERATOR_PATH } from "./screens";

const SignIn = lazy(() => import("./SignIn").then(({ SignIn }) => ({ default: SignIn })));
const ByLink = lazy(() => import("./ByLink").then(({ ByLink }) => ({ default: ByLink })));
const ByServer = lazy(() => import("./ByServer").then(({ ByServer }) => ({ default: ByServer })));

export function Gate() {
  const session = useQuery(sessionQuery);
  const operator = useQuery(operatorQuery);
  const { secret, nth } = useSyncExternalStore(link.subscribe, link.current);
  const [over, setOver] = useState(false);
  const queries = useQueryClient();
  const { phase } = useConnection();

  useEffect(
    () =>
      onSignedOut((ofOperator) => {
        if (!ofOperator) return live.signedOut();
        queries.setQueryData(operatorQuery.queryKey, null);
        setOver(true);
      }),
    [queries],
  );
  useEffect(() => {
    if (phase !== "signed_out") return;
    const looked = queries.getQueryData(sessionQuery.queryKey)?.operator;
    if (looked) toast("Your look is over");
    else setOver(true);
    queries.setQueryData(sessionQuery.queryKey, null);
  }, [phase, queries]);

  const begun = () => setOver(false);
  const Enter = secret?.startsWith("?") ? ByServer : ByLink;
  return (
    <>
      {secret ? (
        <Suspense>
          <Enter key={nth} secret={secret} nth={nth} onSignedIn={begun} />
        </Suspense>
      ) : session.data ? (
        // Another session, even of the same tenant, begins anew.
        <SignedIn key={session.data.expires_at} session={session.data} operator={operator.data ?? null} />
      ) : session.isPending || operator.isPending ? (
        <p className="late p-6 text-ink3">Connecting</p>
      ) : session.isError ? (
        <ProblemNote error={session.error} onRetry={() => void session.refetch()} />
      ) : (
        <NoTenant operator={operator.data ?? null} over={over} onSignedIn={begun} />
      )}
      <Toaster />
    </>
  );
}

/** The door, or the operator's page, which is no tenant's. */
function NoTenant({
  operator,
  ...door
}: {
  operator: OperatorSession | null;
  over: boolean;
  onSignedIn: () => void;
}) {
  const at = useLocation({ select: ({ pathname }) => pathname });
  if (operator && at === OPERATOR_PATH)
    return (
      <Shell session={null} operator={operator}>
        <Outlet />
      </Shell>
    );
  if (operator && at !== DOOR_PATH && !door.over) return <Navigate to={OPERATOR_PATH} replace />;
  return (
    <Suspense>
      <SignIn operator={operator !== null} {...door} />
    </Suspense>
  );
}

function SignedIn({ session, operator }: { session: Session; operator: OperatorSession | null }) {
  const queries = useQueryClient();
  useEffect(() => {
    const end = live.start({
      refresh: (what) =>
        queries.refetchQueries({
          type: "active",
          predicate: ({ queryKey, meta }) =>
            isTenants(queryKey) && (what === "all" || meta?.live === "topic"),
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
      queries.removeQueries({ predicate: ({ queryKey }) => isTenants(queryKey) });
    };
  }, [queries]);
  return (
    <Shell session={session} operator={operator}>
      <Outlet />
    </Shell>
  );
}

/** Of a tenant, and not who is signed in or what its operator sees. */
const isTenants = ([of]: readonly unknown[]) => of !== "session" && of !== "operator";
