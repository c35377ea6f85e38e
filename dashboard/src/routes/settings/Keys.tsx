import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { type Key, keysQuery, makeKey, type NewKey, revokeKey } from "../../api/keys";
import { useUrl } from "../../lib/url";
import { Button } from "../../ui/Button";
import { Code } from "../../ui/Code";
import { Confirm, Dialog } from "../../ui/Dialog";
import { Check, Field, Input } from "../../ui/Form";
import { Section } from "../../ui/Panel";
import { ProblemNote } from "../../ui/ProblemNote";
import { SkeletonText } from "../../ui/Skeleton";
import { type Cell, Table } from "../../ui/Table";
import { toast, toastProblem } from "../../ui/Toast";
import { When } from "../../ui/When";

const nameOf = ({ name, hint }: Key) => name || hint;

export function Keys() {
  const read = useQuery(keysQuery);
  const queries = useQueryClient();
  const [url, setUrl] = useUrl();
  const [making, setMaking] = useState(false);
  const [revoking, setRevoking] = useState<Key>();
  const again = () => void queries.invalidateQueries({ queryKey: keysQuery.queryKey });

  const all = read.data ?? [];
  const revoked = all.filter(({ revoked_at }) => revoked_at !== null);
  const shown = url.revoked ? all : all.filter(({ revoked_at }) => revoked_at === null);
  const last = all.length - revoked.length < 2;

  return (
    <Section title="API keys" aside={<Button onClick={() => setMaking(true)}>Make a key</Button>}>
      {read.data ? (
        <>
          <Table label="API keys" columns={columns(setRevoking, last)} rows={shown} keyOf={({ id }) => id} />
          <div className="mt-2 flex flex-wrap justify-between gap-2 text-ink2">
            {last && (
              <p className="text-ink3 text-meta">
                The last key in force cannot be revoked: make another one first.
              </p>
            )}
            {revoked.length > 0 && (
              <Check
                checked={url.revoked !== undefined}
                onChange={(event) =>
                  setUrl({ revoked: event.target.checked ? "yes" : undefined }, { replace: true })
                }
              >
                Revoked ones too ({revoked.length})
              </Check>
            )}
          </div>
        </>
      ) : read.isError ? (
        <ProblemNote error={read.error} onRetry={() => void read.refetch()} />
      ) : (
        <SkeletonText lines={3} label="Loading keys" />
      )}
      {making && <MakeKey onMade={again} onClose={() => setMaking(false)} />}
      {revoking && (
        <Confirm
          title={`Revoke ${nameOf(revoking)}?`}
          action="Revoke the key"
          danger
          onClose={() => setRevoking(undefined)}
          onConfirm={() =>
            void revokeKey(revoking.id).then(
              () => {
                toast(`Revoked ${nameOf(revoking)}`);
                again();
              },
              (error: unknown) => toastProblem("The key is still in force", error),
            )
          }
        >
          <p>
            <code className="font-mono text-meta">{revoking.hint}</code> opens nothing from then on, nor does
            any session that was begun with it. It cannot be taken back.
          </p>
          {revoking.is_yours && (
            <p className="mt-2 font-semibold text-ink">
              You are signed in with this key: you will be signed out.
            </p>
          )}
        </Confirm>
      )}
    </Section>
  );
}

const columns = (onRevoke: (key: Key) => void, last: boolean): Cell<Key>[] => [
  {
    id: "name",
    title: "Name",
    cell: (key) => (
      <>
        {key.name || <span className="text-ink3">no name</span>}
        {key.is_yours && (
          <span className="ml-2 rounded-sm bg-tide-wash px-1.5 text-meta text-tide-ink">yours</span>
        )}
      </>
    ),
  },
  { id: "hint", title: "Key", cell: ({ hint }) => <code className="font-mono text-meta">{hint}</code> },
  { id: "made", title: "Made", wide: true, cell: ({ created_at }) => <When at={created_at} /> },
  {
    id: "used",
    title: "Last used",
    wide: true,
    cell: ({ last_used_at }) =>
      last_used_at ? <When at={last_used_at} /> : <span className="text-ink3">never</span>,
  },
  {
    id: "revoke",
    title: "",
    number: true,
    cell: (key) =>
      key.revoked_at ? (
        <span className="text-ink3">
          revoked <When at={key.revoked_at} />
        </span>
      ) : (
        <Button
          kind="ghost"
          disabled={last}
          aria-label={`Revoke ${nameOf(key)}`}
          onClick={() => onRevoke(key)}
        >
          Revoke
        </Button>
      ),
  },
];

/** Asks for a name, and then shows the secret: here, once, and never again. */
function MakeKey({ onMade, onClose }: { onMade: () => void; onClose: () => void }) {
  const [name, setName] = useState("");
  const [made, setMade] = useState<NewKey>();
  const [waits, setWaits] = useState(false);
  const [error, setError] = useState<unknown>();

  async function make(event: FormEvent) {
    event.preventDefault();
    setWaits(true);
    setError(undefined);
    try {
      setMade(await makeKey(name.trim()));
      onMade();
    } catch (problem) {
      setError(problem);
    } finally {
      setWaits(false);
    }
  }

  if (made)
    return (
      <Dialog title="The new key" onClose={onClose}>
        <p className="mb-3 text-ink2">
          Copy it now: it is shown here once and never again. Whoever has it can do all that you can.
        </p>
        <Code text={made.key} what="new key" wrap />
        <div className="mt-5 flex justify-end">
          <Button kind="main" onClick={onClose}>
            I have copied it
          </Button>
        </div>
      </Dialog>
    );
  return (
    <Dialog title="Make a key" onClose={onClose}>
      <form onSubmit={(event) => void make(event)}>
        <Field name="What it is for" hint="A name to know it by, such as the app that uses it.">
          {(field) => (
            <Input
              {...field}
              maxLength={256}
              value={name}
              onChange={(event) => setName(event.target.value)}
            />
          )}
        </Field>
        {error !== undefined && <ProblemNote error={error} />}
        <div className="mt-5 flex justify-end gap-2">
          <Button onClick={onClose}>Back</Button>
          <Button type="submit" kind="main" disabled={waits}>
            Make the key
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
