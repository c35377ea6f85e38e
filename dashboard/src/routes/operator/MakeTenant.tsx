import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { makeTenant } from "../../api/operator";
import { asProblem, nextStep } from "../../api/problem";
import { Button } from "../../ui/Button";
import { Dialog } from "../../ui/Dialog";
import { Field, Input } from "../../ui/Form";

/** Asks for a name. It has nobody yet: who made it goes on to invite its first admin. */
export function MakeTenant({ onMade, onClose }: { onMade: (id: string) => void; onClose: () => void }) {
  const queries = useQueryClient();
  const [name, setName] = useState("");
  const [waits, setWaits] = useState(false);
  const [error, setError] = useState<unknown>();

  async function make(event: FormEvent) {
    event.preventDefault();
    setWaits(true);
    setError(undefined);
    try {
      const { id } = await makeTenant(name.trim());
      await queries.invalidateQueries({ queryKey: ["operator", "tenants"] });
      onMade(id);
    } catch (problem) {
      setError(problem);
      setWaits(false);
    }
  }

  return (
    <Dialog title="Make a tenant" onClose={onClose}>
      <form onSubmit={(event) => void make(event)} className="flex flex-col gap-5">
        <Field
          name="Name"
          hint="From 1 to 63 lowercase letters, digits, _ and -, a letter or digit first. It has the usual weight, 100."
          problem={error === undefined ? undefined : said(error)}
        >
          {(field) => (
            <Input
              {...field}
              required
              maxLength={63}
              spellCheck={false}
              autoCapitalize="none"
              value={name}
              onChange={(event) => setName(event.target.value)}
            />
          )}
        </Field>
        <div className="flex justify-end gap-2">
          <Button onClick={onClose}>Back</Button>
          <Button type="submit" kind="main" disabled={waits || !name.trim()}>
            Make it, and invite its admin
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

function said(error: unknown): string {
  const problem = asProblem(error);
  const fault = problem.fields.find(({ field }) => field === "/name");
  if (fault) return `It ${fault.message}.`;
  return problem.code === "name_taken" ? `${problem.message}.` : `${problem.message} ${nextStep(problem)}`;
}
