import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { type Key, keysQuery, revokeKey } from "../../api/keys";
import type { Scope } from "../../api/session";
import { useNow } from "../../lib/time";
import { useUrl } from "../../lib/url";
import { SCOPES } from "../../parts/rights";
import { Button } from "../../ui/Button";
import { Confirm } from "../../ui/Dialog";
import { Check } from "../../ui/Form";
import { Section } from "../../ui/Panel";
import { ProblemNote } from "../../ui/ProblemNote";
import { SkeletonText } from "../../ui/Skeleton";
import { type Cell, Table } from "../../ui/Table";
import { toast, toastProblem } from "../../ui/Toast";
import { When } from "../../ui/When";
import { MakeKey } from "./MakeKey";
import { RotateKey } from "./RotateKey";
import { inForce, nameOf } from "./words";

type Asking = { what: "make" } | { what: "rotate" | "revoke"; key: Key };

/** `mine`: what the one who is signed in may do, and so give to a key. */
export function Keys({ mine }: { mine: readonly Scope[] }) {
  const read = useQuery(keysQuery);
  const queries = useQueryClient();
  const [url, setUrl] = useUrl();
  const [asking, setAsking] = useState<Asking>();
  const now = useNow();
  const again = () => void queries.invalidateQueries({ queryKey: keysQuery.queryKey });
  const close = () => setAsking(undefined);

  const all = read.data ?? [];
  const open = all.filter((key) => inForce(key, now));
  const shown = url.revoked ? all : open;
  const last = open.length < 2;

  return (
    <Section title="API keys" aside={<Button onClick={() => setAsking({ what: "make" })}>Make a key</Button>}>
      {read.data ? (
        <>
          {shown.length > 0 ? (
            <Table
              label="API keys"
              columns={columns(all, now, last, mine, setAsking)}
              rows={shown}
              keyOf={({ id }) => id}
            />
          ) : (
            <p className="text-ink2">No key is in force. Programs need one to submit jobs.</p>
          )}
          <div className="mt-2 flex flex-wrap justify-between gap-2 text-ink2">
            {open.length === 1 && (
              <p className="text-ink3 text-meta">
                The last key in force cannot be revoked: make another one first.
              </p>
            )}
            {all.length > open.length && (
              <Check
                checked={url.revoked !== undefined}
                onChange={(event) =>
                  setUrl({ revoked: event.target.checked ? "yes" : undefined }, { replace: true })
                }
              >
                Ended and revoked ones too ({all.length - open.length})
              </Check>
            )}
          </div>
        </>
      ) : read.isError ? (
        <ProblemNote error={read.error} onRetry={() => void read.refetch()} />
      ) : (
        <SkeletonText lines={3} label="Loading keys" />
      )}
      {asking?.what === "make" && <MakeKey mine={mine} onMade={again} onClose={close} />}
      {asking?.what === "rotate" && <RotateKey old={asking.key} onMade={again} onClose={close} />}
      {asking?.what === "revoke" && <Revoke target={asking.key} onRevoked={again} onClose={close} />}
    </Section>
  );
}

function Revoke({ target, onRevoked, onClose }: { target: Key; onRevoked: () => void; onClose: () => void }) {
  return (
    <Confirm
      title={`Revoke ${nameOf(target)}?`}
      action="Revoke the key"
      danger
      onClose={onClose}
      onConfirm={() =>
        void revokeKey(target.id).then(
          () => {
            toast(`Revoked ${nameOf(target)}`);
            onRevoked();
          },
          (error: unknown) => toastProblem("The key is still in force", error),
        )
      }
    >
      <p>
        <code className="font-mono text-meta">{target.hint}</code> opens nothing from then on, nor does any
        session that was begun with it. It cannot be taken back.
      </p>
      {target.is_yours && (
        <p className="mt-2 font-semibold text-ink">
          You are signed in with this key: you will be signed out.
        </p>
      )}
    </Confirm>
  );
}

const columns = (
  all: readonly Key[],
  now: number,
  last: boolean,
  mine: readonly Scope[],
  ask: (asking: Asking) => void,
): Cell<Key>[] => [
  {
    id: "name",
    title: "Name and scopes",
    cell: (key) => (
      <div className="max-w-80 py-1.5">
        <p>
          {key.name || <span className="text-ink3">no name</span>}
          {key.is_yours && (
            <span className="ml-2 rounded-sm bg-tide-wash px-1.5 text-meta text-tide-ink">yours</span>
          )}
        </p>
        <code className="font-mono text-meta md:hidden">{key.hint}</code>
        <p className="whitespace-normal text-ink3 text-meta">
          {key.scopes.length === SCOPES.length ? "all scopes" : key.scopes.join(", ")}
        </p>
      </div>
    ),
  },
  {
    id: "hint",
    title: "Key",
    wide: true,
    cell: ({ hint }) => <code className="font-mono text-meta">{hint}</code>,
  },
  { id: "made", title: "Made", wide: true, cell: ({ created_at }) => <When at={created_at} /> },
  {
    id: "used",
    title: "Last used",
    wide: true,
    cell: ({ last_used_at }) =>
      last_used_at ? <When at={last_used_at} /> : <span className="text-ink3">never</span>,
  },
  { id: "ends", title: "Ends", cell: (key) => <Ends of={key} all={all} now={now} /> },
  {
    id: "do",
    title: "",
    number: true,
    cell: (key) =>
      inForce(key, now) && (
        <div className="flex flex-col items-end md:flex-row md:justify-end">
          {key.rotated_to === null && key.scopes.every((scope) => mine.includes(scope)) && (
            <Button
              kind="ghost"
              aria-label={`Rotate ${nameOf(key)}`}
              onClick={() => ask({ what: "rotate", key })}
            >
              Rotate
            </Button>
          )}
          <Button
            kind="ghost"
            disabled={last}
            aria-label={`Revoke ${nameOf(key)}`}
            onClick={() => ask({ what: "revoke", key })}
          >
            Revoke
          </Button>
        </div>
      ),
  },
];

/** When it ends or ended, and which key took its place. */
function Ends({ of: key, all, now }: { of: Key; all: readonly Key[]; now: number }) {
  const next = key.rotated_to && (all.find(({ id }) => id === key.rotated_to)?.hint ?? key.rotated_to);
  return (
    <div className="whitespace-normal md:whitespace-nowrap">
      {key.revoked_at ? (
        <>
          revoked <When at={key.revoked_at} />
        </>
      ) : key.expires_at ? (
        <>
          {!inForce(key, now) && "ended "}
          <When at={key.expires_at} />
        </>
      ) : (
        <span className="text-ink3">never</span>
      )}
      {next && (
        <span className="block text-ink3 text-meta">
          replaced by <code className="font-mono">{next}</code>
        </span>
      )}
    </div>
  );
}
