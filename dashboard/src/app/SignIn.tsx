import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { waysQuery } from "../api/identity";
import { asProblem, nextStep } from "../api/problem";
import { sessionQuery, signIn } from "../api/session";
import { Button } from "../ui/Button";
import { Go } from "../ui/Go";
import { Mark } from "./Mark";
import { OPERATOR_PATH } from "./screens";
import { ToServer } from "./ToServer";

/** An API key for a session. The key is in this form's field and nowhere else. */
export function SignIn({
  operator,
  over,
  onSignedIn,
}: {
  /** Who is signed in as an operator may go back there. */
  operator: boolean;
  over: boolean;
  onSignedIn: () => void;
}) {
  const [key, setKey] = useState("");
  const queries = useQueryClient();
  const server = useQuery(waysQuery).data?.identity_server;
  const begin = useMutation({
    mutationFn: signIn,
    onSuccess: (session) => {
      setKey("");
      onSignedIn();
      queries.setQueryData(sessionQuery.queryKey, session);
    },
  });

  function submit(event: FormEvent) {
    event.preventDefault();
    if (key.trim()) begin.mutate(key.trim());
  }

  return (
    <main className="mx-auto flex min-h-full w-sm max-w-full flex-col justify-center px-6 py-12">
      <title>Sign in · offpeak</title>
      <h1 className="mb-6 flex items-center gap-2 font-semibold text-section">
        <Mark /> offpeak
      </h1>
      {over && <p className="mb-4 text-ink2">Your session is over. Sign in again to go on where you were.</p>}
      {server && (
        <div className="mb-6 flex flex-col gap-3 border-line border-b pb-6">
          <ToServer label={`Sign in with ${server.name}`} />
        </div>
      )}
      <form onSubmit={submit} className="flex flex-col gap-3">
        <label className="flex flex-col gap-1 text-ink2" htmlFor="key">
          API key
        </label>
        <input
          id="key"
          type="password"
          // A password manager may keep it; this page does not.
          autoComplete="current-password"
          spellCheck={false}
          placeholder="ofp_live_…"
          className="-mt-2 h-9 rounded-md border border-line bg-raised px-3 font-mono"
          value={key}
          onChange={(event) => setKey(event.target.value)}
          aria-invalid={begin.isError}
          aria-describedby={begin.isError ? "key-problem" : undefined}
        />
        {begin.isError && (
          <p id="key-problem" role="alert" className="text-bad">
            {sentence(begin.error)}
          </p>
        )}
        <Button type="submit" kind="main" className="h-9" disabled={!key.trim() || begin.isPending}>
          {begin.isPending ? "Signing in" : "Sign in"}
        </Button>
      </form>
      <div className="mt-6 flex flex-col gap-2 text-ink3 text-meta">
        <p>
          {server ? "Neither? A link" : "Without a key? A link"} that an admin of your tenant sends you signs
          you in too: open it in this browser. Whoever runs the server makes keys with{" "}
          <code className="font-mono">offpeak key create</code>.
        </p>
        <p>The session lasts 12 hours. The key itself is not kept in this browser.</p>
        {operator && (
          <p>
            You are signed in as an operator: <Go to={OPERATOR_PATH}>to all tenants</Go>
          </p>
        )}
      </div>
    </main>
  );
}

function sentence(error: unknown): string {
  const problem = asProblem(error);
  if (problem.status === 401)
    return "This key does not hold. Check that you copied all of it, and that it was not revoked.";
  return `${problem.message} ${nextStep(problem)}`;
}
