import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { signInByLink } from "../api/link";
import { asProblem } from "../api/problem";
import { operatorQuery, sessionQuery } from "../api/session";
import { Button } from "../ui/Button";
import { ProblemNote } from "../ui/ProblemNote";
import { forgetLink } from "./link";
import { Mark } from "./Mark";
import { FIRST_PATH, OPERATOR_PATH } from "./screens";

/** Signs in by the link that the page was opened by, and leads to where its person begins. */
export function ByLink({ secret, nth, onSignedIn }: { secret: string; nth: number; onSignedIn: () => void }) {
  const queries = useQueryClient();
  const navigate = useNavigate();
  const begin = useQuery({
    // Not by the secret: a key is kept, and shown by tools.
    queryKey: ["session", "link", nth],
    queryFn: async () => {
      const operator = await signInByLink(secret);
      if (operator) await queries.fetchQuery({ ...operatorQuery, staleTime: 0 });
      else await queries.fetchQuery({ ...sessionQuery, staleTime: 0 });
      await navigate({ to: operator ? OPERATOR_PATH : FIRST_PATH, replace: true });
      onSignedIn();
      forgetLink();
      return operator;
    },
    // A link opens once: no second try by itself.
    retry: false,
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 0,
  });

  return (
    <main className="mx-auto flex min-h-full w-sm max-w-full flex-col justify-center px-6 py-12">
      <title>Sign in · offpeak</title>
      <h1 className="mb-6 flex items-center gap-2 font-semibold text-section">
        <Mark /> offpeak
      </h1>
      {begin.isError ? (
        <Refused error={begin.error} onAgain={() => void begin.refetch()} />
      ) : (
        <p role="status" className="text-ink2">
          Signing you in
        </p>
      )}
    </main>
  );
}

function Refused({ error, onAgain }: { error: unknown; onAgain: () => void }) {
  const { status } = asProblem(error);
  if (status !== 401 && status !== 422)
    return (
      <div className="-m-4">
        <ProblemNote error={error} onRetry={onAgain} />
      </div>
    );
  return (
    <div role="alert" className="flex flex-col gap-3">
      <h2 className="font-semibold text-title">
        {status === 401 ? "This link opens nothing any more" : "This is not a whole link"}
      </h2>
      <p className="text-ink2">
        {status === 401
          ? "A link opens once, and only for a time. Ask whoever sent it for another one. If it was you who opened it before, in another browser, you are signed in there."
          : "A part of it is missing or changed. Copy all of it, to its last letter, and open it again."}
      </p>
      <p className="text-ink3 text-meta">
        Operators get another one with{" "}
        <code className="whitespace-nowrap font-mono">offpeak operator invite</code>.
      </p>
      <Button className="self-start" onClick={forgetLink}>
        Sign in another way
      </Button>
    </div>
  );
}
