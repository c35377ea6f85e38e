import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { lookAt } from "../../api/operator";
import { sessionQuery } from "../../api/session";
import { Button } from "../../ui/Button";
import { Dialog } from "../../ui/Dialog";
import { Field, Input } from "../../ui/Form";
import { ProblemNote } from "../../ui/ProblemNote";

/** Asks why, and then leads into the tenant, where nothing can be changed. */
export function LookDialog({ id, name, onClose }: { id: string; name: string; onClose: () => void }) {
  const queries = useQueryClient();
  const navigate = useNavigate();
  const session = useQuery(sessionQuery).data;
  const [reason, setReason] = useState("");
  const [waits, setWaits] = useState(false);
  const [error, setError] = useState<unknown>();

  async function look(event: FormEvent) {
    event.preventDefault();
    setWaits(true);
    setError(undefined);
    try {
      await lookAt(id, reason.trim());
      await queries.fetchQuery({ ...sessionQuery, staleTime: 0 });
      await navigate({ to: "/" });
    } catch (problem) {
      setError(problem);
      setWaits(false);
    }
  }

  return (
    <Dialog title={`Look inside ${name}`} onClose={onClose}>
      <form onSubmit={(event) => void look(event)} className="flex flex-col gap-4">
        <p className="text-ink2">
          You see its jobs, requests and results for 30 minutes, and can change nothing. The tenant sees in
          its audit log that you looked, when, and the reason that you give here.
        </p>
        {session && (
          <p className="font-semibold">
            In this browser that takes the place of what you have open of {session.name}.
          </p>
        )}
        <Field name="Reason" hint="As in: They ask why job_… failed.">
          {(field) => (
            <Input
              {...field}
              required
              maxLength={256}
              value={reason}
              onChange={(event) => setReason(event.target.value)}
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
          <Button type="submit" kind="main" disabled={waits || !reason.trim()}>
            Look inside
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
