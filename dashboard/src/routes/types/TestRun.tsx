import { type FormEvent, useMemo, useState } from "react";
import { anyObject } from "../../api/client";
import type { JobType } from "../../api/jobTypes";
import { type JobRequest, newIdempotencyKey, submitJob } from "../../api/submit";
import { fieldsOf, readInput } from "../../lib/schema";
import { useUrl } from "../../lib/url";
import { EstimateView } from "../../parts/EstimateView";
import { FollowJob } from "../../parts/FollowJob";
import { Button } from "../../ui/Button";
import { Check } from "../../ui/Form";
import { InputForm } from "../../ui/InputForm";
import { Section } from "../../ui/Panel";
import { ProblemNote } from "../../ui/ProblemNote";

/** So soon that it is called for directly. */
const AT_ONCE = "1m";

/** The newest version on a pasted document. It is a job like any other; the last one is `?job=`. */
export function TestRun({ type }: { type: JobType }) {
  const [url, setUrl] = useUrl();
  const [typed, setTyped] = useState<Record<string, string>>({});
  const [direct, setDirect] = useState(true);
  const [asked, setAsked] = useState(false);
  const [waits, setWaits] = useState(false);
  const [error, setError] = useState<unknown>();

  const fields = useMemo(() => fieldsOf(type.input_schema), [type]);
  const { requests, problems } = useMemo(() => {
    const read = readInput(fields, typed);
    const request: JobRequest = {
      type: type.name,
      input: anyObject(read.input),
      coalesce: false, // an answer of its own, also to the same document
      ...(direct && { deliver_within: AT_ONCE }),
    };
    return { requests: Object.keys(read.problems).length > 0 ? [] : [request], problems: read.problems };
  }, [fields, typed, direct, type]);

  async function run(event: FormEvent) {
    event.preventDefault();
    setAsked(true);
    const [request] = requests;
    if (!request || waits) return;
    setWaits(true);
    setError(undefined);
    try {
      setUrl({ job: (await submitJob(request, newIdempotencyKey())).id }, { replace: true });
    } catch (problem) {
      setError(problem);
    } finally {
      setWaits(false);
    }
  }

  return (
    <div className="grid gap-x-10 gap-y-6 lg:grid-cols-2">
      <form noValidate onSubmit={(event) => void run(event)} className="flex min-w-0 flex-col gap-4">
        <p className="text-ink2">
          A test run is a real job of version {type.version}: it is billed, counts against your budgets, and
          stands among your jobs.
        </p>
        <InputForm
          fields={fields}
          typed={typed}
          problems={asked ? problems : {}}
          onChange={(name, text) => setTyped((before) => ({ ...before, [name]: text }))}
        />
        <Check checked={direct} onChange={(event) => setDirect(event.target.checked)}>
          At once, by a direct call at the normal price; otherwise in a batch, which may take up to a day
        </Check>
        <Section title="Its price">
          {requests.length > 0 ? (
            <EstimateView requests={requests} />
          ) : (
            <p className="text-ink2">It stands here as soon as all that is needed is filled in.</p>
          )}
        </Section>
        {error !== undefined && (
          <div className="-mx-4">
            <ProblemNote error={error} />
          </div>
        )}
        <Button type="submit" kind="main" disabled={waits} className="self-start">
          {waits ? "Submitting" : "Run it as a real job"}
        </Button>
      </form>
      <section aria-label="The last test run" className="min-w-0">
        {url.job ? (
          <FollowJob key={url.job} id={url.job} />
        ) : (
          <p className="text-ink3">The answer stands here once it was run.</p>
        )}
      </section>
    </div>
  );
}
