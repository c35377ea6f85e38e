import { useQuery } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { type Budget, type BudgetRequest, setBudget } from "../../api/budgets";
import { jobTypesQuery } from "../../api/jobTypes";
import { asProblem } from "../../api/problem";
import { Button } from "../../ui/Button";
import { Dialog } from "../../ui/Dialog";
import { Field, Input, Select } from "../../ui/Form";
import { ProblemNote } from "../../ui/ProblemNote";
import { toast } from "../../ui/Toast";

/** Sets one, or gives one that there is another limit: scope, name and period say which it is. */
export function BudgetForm({
  budget,
  onSet,
  onClose,
}: {
  budget: Budget | undefined;
  onSet: () => void;
  onClose: () => void;
}) {
  const [request, setRequest] = useState<BudgetRequest>({
    scope: budget?.scope ?? "tenant",
    name: budget?.name,
    period: budget?.period ?? "month",
    limit: budget?.limit ?? "",
    hard: budget?.hard ?? true,
  });
  const [error, setError] = useState<unknown>();
  const [waits, setWaits] = useState(false);
  const types = useQuery(jobTypesQuery);
  const change = (changed: Partial<BudgetRequest>) => setRequest((before) => ({ ...before, ...changed }));

  async function submit(event: FormEvent) {
    event.preventDefault();
    setWaits(true);
    setError(undefined);
    try {
      await setBudget({ ...request, name: request.name || undefined });
      toast(budget ? "Changed the budget" : "Set the budget");
      onSet();
    } catch (problem) {
      setError(problem);
      setWaits(false);
    }
  }

  const wrong = (field: string) =>
    error === undefined
      ? undefined
      : asProblem(error).fields.find((fault) => fault.field === `/${field}`)?.message;

  return (
    <Dialog title={budget ? "Change the budget" : "Set a budget"} onClose={onClose}>
      <form onSubmit={(event) => void submit(event)} className="flex flex-col gap-3">
        <Field name="Counts what is spent by">
          {(field) => (
            <Select
              {...field}
              disabled={budget !== undefined}
              value={request.scope}
              onChange={(event) =>
                change({ scope: event.target.value as BudgetRequest["scope"], name: undefined })
              }
              options={[
                ["tenant", "everything"],
                ["user", "users"],
                ["type", "job types"],
              ]}
            />
          )}
        </Field>
        {request.scope !== "tenant" && (
          <Field
            name={request.scope === "user" ? "User" : "Job type"}
            hint="Empty: each one that has no budget of its own."
            problem={wrong("name")}
          >
            {(field) => (
              <>
                <Input
                  {...field}
                  disabled={budget !== undefined}
                  list={request.scope === "type" ? "budget-types" : undefined}
                  maxLength={256}
                  value={request.name ?? ""}
                  onChange={(event) => change({ name: event.target.value })}
                />
                <datalist id="budget-types">
                  {(types.data ?? []).map(({ name }) => (
                    <option key={name} value={name} />
                  ))}
                </datalist>
              </>
            )}
          </Field>
        )}
        <div className="grid grid-cols-2 gap-3">
          <Field name="Dollars" problem={wrong("limit")}>
            {(field) => (
              <Input
                {...field}
                required
                inputMode="decimal"
                pattern="\d+(\.\d{1,12})?"
                title="An amount such as 12.50"
                placeholder="12.50"
                value={request.limit}
                onChange={(event) => change({ limit: event.target.value })}
              />
            )}
          </Field>
          <Field name="For each">
            {(field) => (
              <Select
                {...field}
                disabled={budget !== undefined}
                value={request.period}
                onChange={(event) => change({ period: event.target.value as BudgetRequest["period"] })}
                options={[
                  ["day", "day (UTC)"],
                  ["month", "month (UTC)"],
                ]}
              />
            )}
          </Field>
        </div>
        <fieldset className="flex flex-col gap-1.5">
          <legend className="mb-1 text-ink2">What would exceed it</legend>
          {([true, false] as const).map((hard) => (
            <label key={String(hard)} className="flex items-center gap-2">
              <input
                type="radio"
                name="hard"
                className="size-3.5 accent-tide"
                checked={request.hard === hard}
                onChange={() => change({ hard })}
              />
              {hard ? "is refused (hard)" : "goes on, and an event tells (soft)"}
            </label>
          ))}
        </fieldset>
        {error !== undefined && <ProblemNote error={error} />}
        <div className="flex justify-end gap-2">
          <Button onClick={onClose}>Back</Button>
          <Button type="submit" kind="main" disabled={waits}>
            {budget ? "Change the budget" : "Set the budget"}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
