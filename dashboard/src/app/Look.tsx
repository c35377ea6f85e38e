import { useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { type Session, sessionQuery, signOut } from "../api/session";
import { clockTime, ms } from "../lib/time";
import { toastProblem } from "../ui/Toast";
import { OPERATOR_PATH } from "./screens";

/** Over every screen, for as long as an operator looks at a tenant. */
export function Look({ session }: { session: Session }) {
  const queries = useQueryClient();
  const navigate = useNavigate();
  const [waits, setWaits] = useState(false);

  async function leave() {
    setWaits(true);
    try {
      await signOut(false);
      await navigate({ to: OPERATOR_PATH, search: { id: session.tenant } });
      queries.setQueryData(sessionQuery.queryKey, null);
    } catch (error) {
      toastProblem("You still look at this tenant", error);
      setWaits(false);
    }
  }

  return (
    <p className="flex flex-wrap items-center justify-center gap-x-3 gap-y-1 bg-warn px-4 py-1.5 text-bg text-meta">
      <span>
        You look at <strong className="font-semibold">{session.name}</strong> as its operator, reading only,
        until <time dateTime={session.expires_at}>{clockTime(ms(session.expires_at))}</time>.
      </span>
      <button
        type="button"
        className="h-6 rounded-md border border-current px-2.5 font-semibold disabled:opacity-50"
        disabled={waits}
        onClick={() => void leave()}
      >
        Leave
      </button>
    </p>
  );
}
