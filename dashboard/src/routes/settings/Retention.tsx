import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { asProblem, nextStep } from "../../api/problem";
import { EXPORT, type Retention as Kept, retentionQuery, setRetention } from "../../api/retention";
import { Button } from "../../ui/Button";
import { Confirm } from "../../ui/Dialog";
import { Check, Field, Input } from "../../ui/Form";
import { ProblemNote } from "../../ui/ProblemNote";
import { SkeletonText } from "../../ui/Skeleton";
import { toast } from "../../ui/Toast";

/** How long requests and results are kept, and a way to take them along. */
export function Retention({ exports }: { exports: boolean }) {
  const read = useQuery(retentionQuery);
  if (read.isPending) return <SkeletonText lines={4} label="Loading what is kept for how long" />;
  if (!read.data) return <ProblemNote error={read.error} onRetry={() => void read.refetch()} />;
  return (
    <div className="flex flex-col gap-5">
      <Form key={JSON.stringify(read.data)} stored={read.data} />
      {exports && (
        <div className="flex flex-wrap items-center justify-between gap-x-6 gap-y-2">
          <p className="min-w-0 max-w-md text-ink2">
            Everything that you have, with requests and results, as one file: a JSON object a line. The audit
            log says who took it.
          </p>
          <a
            href={EXPORT}
            download="offpeak-export.ndjson"
            className="text-tide-ink underline underline-offset-2"
          >
            Export all of it
          </a>
        </div>
      )}
    </div>
  );
}

/** Days as they are typed; empty for the deployment's. */
const typed = (days: number, own: boolean) => (own ? String(days) : "");
const days = (text: string) => (text.trim() === "" ? undefined : Number(text));

function Form({ stored }: { stored: Kept }) {
  const queries = useQueryClient();
  const was = {
    inputs: typed(stored.inputs_days, stored.own_inputs),
    results: typed(stored.results_days, stored.own_results),
  };
  const [inputs, setInputs] = useState(was.inputs);
  const [results, setResults] = useState(was.results);
  const [upstream, setUpstream] = useState(stored.delete_upstream);
  const [asking, setAsking] = useState(false);
  const [waits, setWaits] = useState(false);
  const [error, setError] = useState<unknown>();
  const same = inputs === was.inputs && results === was.results && upstream === stored.delete_upstream;
  // Shorter than it was: what is older goes within the hour.
  const shorter =
    (days(inputs) ?? Infinity) < stored.inputs_days || (days(results) ?? Infinity) < stored.results_days;

  async function store() {
    setAsking(false);
    setWaits(true);
    setError(undefined);
    try {
      const request = { inputs_days: days(inputs), results_days: days(results), delete_upstream: upstream };
      queries.setQueryData(retentionQuery.queryKey, await setRetention(request));
      toast("Stored how long things are kept");
    } catch (problem) {
      setError(problem);
    } finally {
      setWaits(false);
    }
  }

  function submit(event: FormEvent) {
    event.preventDefault();
    if (shorter) setAsking(true);
    else void store();
  }

  const problem = error === undefined ? undefined : asProblem(error);
  const at = (field: string) => problem?.fields.find((one) => one.field === field)?.message;
  const elsewhere =
    problem && problem.fields.length === 0 ? `${problem.message} ${nextStep(problem)}` : undefined;
  const hint = (own: boolean, holds: number) =>
    own
      ? "Days after the day of the submit; empty for the deployment's time."
      : `Now ${holds} days, as the deployment has it.`;

  return (
    <>
      <form onSubmit={submit} className="flex flex-col gap-3">
        <Field
          name="Keep requests for"
          hint={hint(stored.own_inputs, stored.inputs_days)}
          problem={at("/inputs_days") ?? elsewhere}
        >
          {(field) => (
            <Input
              {...field}
              type="number"
              min={1}
              max={400}
              value={inputs}
              placeholder={String(stored.inputs_days)}
              onChange={(event) => setInputs(event.target.value)}
            />
          )}
        </Field>
        <Field
          name="Keep results for"
          hint={hint(stored.own_results, stored.results_days)}
          problem={at("/results_days")}
        >
          {(field) => (
            <Input
              {...field}
              type="number"
              min={1}
              max={400}
              value={results}
              placeholder={String(stored.results_days)}
              onChange={(event) => setResults(event.target.value)}
            />
          )}
        </Field>
        <Check checked={upstream} onChange={(event) => setUpstream(event.target.checked)}>
          Delete batches at Anthropic, too, 72 hours after all of their results were read. Otherwise it keeps
          them for 29 days.
        </Check>
        <Button type="submit" className="self-start" disabled={waits || same}>
          Store how long
        </Button>
      </form>
      {asking && (
        <Confirm
          title="Keep less than now?"
          action="Delete what is older"
          danger
          onClose={() => setAsking(false)}
          onConfirm={() => void store()}
        >
          <p>
            Requests and results that are older are deleted within the hour, for good. Jobs, their states and
            what they cost stay.
          </p>
        </Confirm>
      )}
    </>
  );
}
