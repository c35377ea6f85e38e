import { type FormEvent, useState } from "react";
import { type OwnUpstream, setUpstreamKey } from "../../api/ownUpstream";
import { Button } from "../../ui/Button";
import { Dialog } from "../../ui/Dialog";
import { Field, Input } from "../../ui/Form";
import { ProblemNote } from "../../ui/ProblemNote";
import { toast } from "../../ui/Toast";

/** Asks for the key and the limits of its workspace. The key is in the form and in one request. */
export function SetOwnKey({
  replaces,
  onSet,
  onClose,
}: {
  replaces: boolean;
  onSet: (now: OwnUpstream) => void;
  onClose: () => void;
}) {
  const [key, setKey] = useState("");
  const [creates, setCreates] = useState("50");
  const [items, setItems] = useState("100000");
  const [waits, setWaits] = useState(false);
  const [error, setError] = useState<unknown>();

  async function set(event: FormEvent) {
    event.preventDefault();
    setWaits(true);
    setError(undefined);
    try {
      onSet(
        await setUpstreamKey({
          key: key.trim(),
          creates_per_minute: Number(creates),
          max_queued_items: Number(items),
        }),
      );
      toast("The key is being checked");
      onClose();
    } catch (problem) {
      setError(problem);
    } finally {
      setWaits(false);
    }
  }

  return (
    <Dialog title={replaces ? "Replace your own key" : "Set a key of your own"} onClose={onClose} holds>
      <form onSubmit={(event) => void set(event)} className="flex flex-col gap-4">
        <p className="text-ink2">
          Anthropic is asked whether it is good, by a call that changes nothing there.{" "}
          {replaces
            ? "The present one stays in use until then. While batches are open, the new one has to be of the same workspace."
            : "From then on your jobs go by it, those that wait already too, and Anthropic bills you for them."}
        </p>
        <Field
          name="Anthropic API key"
          hint="It is kept encrypted and never shown again; its last four characters tell it from others."
        >
          {(field) => (
            <Input
              {...field}
              type="password"
              autoComplete="off"
              spellCheck={false}
              required
              minLength={16}
              maxLength={512}
              className="font-mono text-meta"
              placeholder="sk-ant-api03-…"
              value={key}
              onChange={(event) => setKey(event.target.value)}
            />
          )}
        </Field>
        <Field
          name="Batches created in a minute, at most"
          hint="As Anthropic's console says for your workspace."
        >
          {(field) => (
            <Input
              {...field}
              type="number"
              required
              min={1}
              max={1_000_000}
              value={creates}
              onChange={(event) => setCreates(event.target.value)}
            />
          )}
        </Field>
        <Field name="Requests waiting in batches, at most">
          {(field) => (
            <Input
              {...field}
              type="number"
              required
              min={1}
              max={1_000_000_000}
              value={items}
              onChange={(event) => setItems(event.target.value)}
            />
          )}
        </Field>
        {error !== undefined && (
          <div className="-m-4">
            <ProblemNote error={error} />
          </div>
        )}
        <div className="flex justify-end gap-2">
          <Button onClick={onClose}>Back</Button>
          <Button type="submit" kind="main" disabled={waits || key.trim().length < 16}>
            {replaces ? "Replace the key" : "Set the key"}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
