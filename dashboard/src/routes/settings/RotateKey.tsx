import { type FormEvent, useState } from "react";
import { type Key, type NewKey, rotateKey } from "../../api/keys";
import { absolute } from "../../lib/time";
import { Button } from "../../ui/Button";
import { Dialog } from "../../ui/Dialog";
import { Field, Select } from "../../ui/Form";
import { ProblemNote } from "../../ui/ProblemNote";
import { Secret } from "./MakeKey";
import { nameOf } from "./words";

const HOUR = 3_600;
const OVERLAPS = [
  [String(HOUR), "For one hour"],
  [String(24 * HOUR), "For 24 hours"],
  [String(7 * 24 * HOUR), "For 7 days"],
] as const;

/** Another key in the place of one, which still opens the same for a while. */
export function RotateKey({ old, onMade, onClose }: { old: Key; onMade: () => void; onClose: () => void }) {
  const [overlap, setOverlap] = useState(String(24 * HOUR));
  const [made, setMade] = useState<NewKey & { until: string }>();
  const [waits, setWaits] = useState(false);
  const [error, setError] = useState<unknown>();

  async function rotate(event: FormEvent) {
    event.preventDefault();
    setWaits(true);
    setError(undefined);
    try {
      const answer = await rotateKey(old.id, Number(overlap));
      // As the server counts it: so long after the new one's beginning, if it would not have ended before.
      const ends = Date.parse(answer.created_at) + Number(overlap) * 1000;
      const until = old.expires_at ? Math.min(ends, Date.parse(old.expires_at)) : ends;
      setMade({ ...answer, until: new Date(until).toISOString() });
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
        It may do the same as <code className="font-mono text-meta">{old.hint}</code>, which opens nothing any
        more from{" "}
        <time dateTime={made.until} className="whitespace-nowrap text-ink">
          {absolute(made.until)}
        </time>{" "}
        on: put the new one in its place before that.
      </Secret>
    );
  return (
    <Dialog title={`Rotate ${nameOf(old)}`} onClose={onClose}>
      <form onSubmit={(event) => void rotate(event)} className="flex flex-col gap-4">
        <p className="text-ink2">
          Makes another key of the same name and scopes{old.expires_at && ", which does not end by itself"}.
          If this one leaked, revoke it instead.
        </p>
        <Field name="The old key opens the same">
          {(field) => (
            <Select
              {...field}
              value={overlap}
              onChange={(event) => setOverlap(event.target.value)}
              options={OVERLAPS}
            />
          )}
        </Field>
        {old.is_yours && (
          <p className="font-semibold">
            You are signed in with this key: with its end you will be signed out.
          </p>
        )}
        {error !== undefined && (
          <div className="-m-4">
            <ProblemNote error={error} />
          </div>
        )}
        <div className="flex justify-end gap-2">
          <Button onClick={onClose}>Back</Button>
          <Button type="submit" kind="main" disabled={waits}>
            Make the new key
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
