import { type FormEvent, type ReactNode, useState } from "react";
import { makeKey, type NewKey } from "../../api/keys";
import type { Scope } from "../../api/session";
import { OF_APP, SCOPES } from "../../parts/rights";
import { Button } from "../../ui/Button";
import { Code } from "../../ui/Code";
import { Dialog } from "../../ui/Dialog";
import { Check, Field, Input, Select } from "../../ui/Form";
import { ProblemNote } from "../../ui/ProblemNote";

const DAY = 86_400;
const EXPIRIES = [
  ["", "Never, until it is revoked"],
  [String(30 * DAY), "In 30 days"],
  [String(90 * DAY), "In 90 days"],
  [String(365 * DAY), "In a year"],
] as const;

/** Asks what it is for and what it may do, and then shows the secret. Nobody gives away what they may not do. */
export function MakeKey({
  mine,
  onMade,
  onClose,
}: {
  mine: readonly Scope[];
  onMade: () => void;
  onClose: () => void;
}) {
  const [name, setName] = useState("");
  const [scopes, setScopes] = useState<readonly Scope[]>(OF_APP.filter((scope) => mine.includes(scope)));
  const [expires, setExpires] = useState("");
  const [made, setMade] = useState<NewKey>();
  const [waits, setWaits] = useState(false);
  const [error, setError] = useState<unknown>();

  async function make(event: FormEvent) {
    event.preventDefault();
    setWaits(true);
    setError(undefined);
    const inOrder = SCOPES.map(([scope]) => scope).filter((scope) => scopes.includes(scope));
    try {
      setMade(
        await makeKey({
          name: name.trim() || null,
          scopes: inOrder,
          expires_in: expires ? Number(expires) : null,
        }),
      );
      onMade();
    } catch (problem) {
      setError(problem);
    } finally {
      setWaits(false);
    }
  }

  if (made)
    return (
      <Secret made={made} onClose={onClose}>
        Whoever has it can do what was ticked.
      </Secret>
    );
  return (
    <Dialog title="Make a key" onClose={onClose}>
      <form onSubmit={(event) => void make(event)} className="flex flex-col gap-4">
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
        <fieldset className="flex flex-col gap-2">
          <legend className="mb-1 text-ink2">What it may do</legend>
          {SCOPES.filter(([scope]) => mine.includes(scope)).map(([scope, words]) => (
            <Check
              key={scope}
              checked={scopes.includes(scope)}
              onChange={(event) =>
                setScopes(event.target.checked ? [...scopes, scope] : scopes.filter((one) => one !== scope))
              }
            >
              <code className="font-mono text-meta">{scope}</code>
              <span className="block text-ink3 text-meta">{words}</span>
            </Check>
          ))}
        </fieldset>
        <Field name="When it ends">
          {(field) => (
            <Select
              {...field}
              value={expires}
              onChange={(event) => setExpires(event.target.value)}
              options={EXPIRIES}
            />
          )}
        </Field>
        {error !== undefined && (
          <div className="-m-4">
            <ProblemNote error={error} />
          </div>
        )}
        <div className="flex items-center justify-end gap-2">
          {scopes.length === 0 && (
            <p className="mr-auto text-meta text-warn">Tick one at least: a key without any opens nothing.</p>
          )}
          <Button onClick={onClose}>Back</Button>
          <Button type="submit" kind="main" disabled={waits || scopes.length === 0}>
            Make the key
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

/** A secret: here, once, and never again. */
export function Secret({
  made,
  children,
  onClose,
}: {
  made: NewKey;
  children: ReactNode;
  onClose: () => void;
}) {
  return (
    <Dialog title="The new key" onClose={onClose} holds>
      <p className="mb-3 text-ink2">Copy it now: it is shown here once and never again. {children}</p>
      <Code text={made.key} what="new key" wrap />
      <div className="mt-5 flex justify-end">
        <Button kind="main" onClick={onClose}>
          I have copied it
        </Button>
      </div>
    </Dialog>
  );
}
