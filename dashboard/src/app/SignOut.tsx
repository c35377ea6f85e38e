import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { signOutOperator } from "../api/operator";
import { type OperatorSession, type Session, sessionQuery, signOut } from "../api/session";
import { Confirm } from "../ui/Dialog";
import { Check } from "../ui/Form";
import { toastProblem } from "../ui/Toast";

/** Of the tenant, of the operator's page, or of both. */
export function SignOut({
  session,
  operator,
  onClose,
}: {
  session: Session | null;
  operator: OperatorSession | null;
  onClose: () => void;
}) {
  const queries = useQueryClient();
  const [everywhere, setEverywhere] = useState(false);
  const [both, setBoth] = useState(session === null);

  async function leave() {
    try {
      if (both && operator) await signOutOperator(queries);
      if (session) {
        await signOut(everywhere);
        queries.setQueryData(sessionQuery.queryKey, null);
      }
    } catch (error) {
      toastProblem("You are still signed in", error);
    }
  }

  return (
    <Confirm title="Sign out" action="Sign out" onClose={onClose} onConfirm={() => void leave()}>
      <div className="flex flex-col gap-2">
        {session ? (
          <>
            <p>Of {session.name}, in this browser.</p>
            {!session.operator && (
              <Check checked={everywhere} onChange={(event) => setEverywhere(event.target.checked)}>
                Everywhere: end every session that was begun{" "}
                {session.key ? "with this API key" : `by ${session.person}`}
              </Check>
            )}
            {operator && (
              <Check checked={both} onChange={(event) => setBoth(event.target.checked)}>
                As the operator {operator.name} too
              </Check>
            )}
          </>
        ) : (
          <p>As the operator {operator?.name}. To come back you need another link.</p>
        )}
      </div>
    </Confirm>
  );
}
