import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { chooseTenant, comeBack, type TenantName } from "../api/identity";
import { asProblem } from "../api/problem";
import { sessionQuery } from "../api/session";
import { Button } from "../ui/Button";
import { ProblemNote } from "../ui/ProblemNote";
import { forgetLink } from "./link";
import { Mark } from "./Mark";
import { FIRST_PATH } from "./screens";
import { ToServer } from "./ToServer";

/** Signs in whoever comes back from the identity server, and asks who is of several tenants which. */
export function ByServer({
  secret,
  nth,
  onSignedIn,
}: {
  /** What the server sent the browser back with. */
  secret: string;
  nth: number;
  onSignedIn: () => void;
}) {
  const queries = useQueryClient();
  const navigate = useNavigate();
  async function enter() {
    await queries.fetchQuery({ ...sessionQuery, staleTime: 0 });
    await navigate({ to: FIRST_PATH, replace: true });
    onSignedIn();
    forgetLink();
  }
  const back = useQuery({
    // Not by the secret: a key is kept, and shown by tools.
    queryKey: ["session", "server", nth],
    queryFn: async () => {
      const tenants = await comeBack(secret);
      if (tenants.length === 0) await enter();
      return tenants;
    },
    // It counts once: no second try by itself.
    retry: false,
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 0,
  });
  const choose = useMutation({
    mutationFn: async (tenant: string) => {
      await chooseTenant(tenant);
      await enter();
    },
  });

  return (
    <main className="mx-auto flex min-h-full w-sm max-w-full flex-col justify-center px-6 py-12">
      <title>Sign in · offpeak</title>
      <h1 className="mb-6 flex items-center gap-2 font-semibold text-section">
        <Mark /> offpeak
      </h1>
      {back.isError || choose.isError ? (
        <Refused error={back.error ?? choose.error} />
      ) : back.data?.length ? (
        <Tenants tenants={back.data} busy={!choose.isIdle} onChoose={(id) => choose.mutate(id)} />
      ) : (
        <p role="status" className="text-ink2">
          Signing you in
        </p>
      )}
    </main>
  );
}

function Tenants({
  tenants,
  busy,
  onChoose,
}: {
  tenants: readonly TenantName[];
  busy: boolean;
  onChoose: (id: string) => void;
}) {
  return (
    <section aria-labelledby="choose" className="flex flex-col gap-3">
      <h2 id="choose" className="font-semibold text-title">
        Where do you want to work?
      </h2>
      <p className="text-ink2">You belong to several tenants. To change, sign out and in again.</p>
      <ul className="flex flex-col gap-2">
        {tenants.map(({ id, name }) => (
          <li key={id} className="flex flex-col">
            <Button className="h-9" disabled={busy} onClick={() => onChoose(id)}>
              {name}
            </Button>
          </li>
        ))}
      </ul>
    </section>
  );
}

/** What each refusal is called. The answer itself says what to do. */
const TITLES: Readonly<Record<string, string>> = {
  sign_in_over: "This sign-in is over",
  sign_in_refused: "The identity server did not let you in",
  not_invited: "Nobody has added you yet",
  address_not_verified: "Your address is not verified",
  identity_unproven: "The identity server's answer does not hold",
  identity_server_down: "The identity server does not answer",
  not_found: "There is no such way in",
};

function Refused({ error }: { error: unknown }): ReactNode {
  const { code, message, requestId } = asProblem(error);
  const title = TITLES[code];
  return (
    <div className="flex flex-col gap-3">
      {title ? (
        <div role="alert" className="flex flex-col gap-3">
          <h2 className="font-semibold text-title">{title}</h2>
          <p className="text-ink2">{sentence(message)}</p>
          {requestId && (
            <p className="text-ink3 text-meta">
              Request <code className="font-mono">{requestId}</code>
            </p>
          )}
        </div>
      ) : (
        <div className="-m-4">
          <ProblemNote error={error} />
        </div>
      )}
      {code !== "not_found" && <ToServer label="Try again" />}
      <Button className="self-start" onClick={forgetLink}>
        Sign in another way
      </Button>
    </div>
  );
}

/** As a sentence stands alone. */
const sentence = (text: string) => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
