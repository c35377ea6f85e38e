import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { batchQuery } from "../../api/batches";
import { hasEnded, type Job } from "../../api/jobs";
import { absolute, duration, ms } from "../../lib/time";
import { useBatchRev } from "../../live/hooks";
import { type AnyState, Glyph, stateWord } from "../../ui/Glyph";
import { When } from "../../ui/When";

type Step = { at: string; state: AnyState; text: ReactNode };

/** What happened to a job, and how long it was from one to the next. The times between come from its batch. */
export function Timeline({ job }: { job: Job }) {
  return job.batch ? <WithBatch job={job} batch={job.batch} /> : <Steps steps={stepsOf(job)} />;
}

function WithBatch({ job, batch: id }: { job: Job; batch: string }) {
  const { data: batch } = useQuery(batchQuery(id, useBatchRev(id)));
  const between: Step[] = [];
  const add = (at: string | null | undefined, state: AnyState, text: string) =>
    at && between.push({ at, state, text });
  add(batch?.planned_at, "planned", `Grouped with ${batch?.items} in a batch`);
  add(batch?.created_at, "in_progress", "Accepted by Anthropic");
  add(batch?.ended_at, "ended", "Batch ended at Anthropic");
  return <Steps steps={stepsOf(job, between)} />;
}

function stepsOf(job: Job, between: Step[] = []): Step[] {
  const steps: Step[] = [{ at: job.created_at, state: "queued", text: "Accepted" }, ...between];
  if (hasEnded(job.state) && job.ended_at)
    steps.push({ at: job.ended_at, state: job.state, text: stateWord(job.state) });
  return steps.toSorted((a, b) => ms(a.at) - ms(b.at));
}

function Steps({ steps }: { steps: Step[] }) {
  return (
    <ol className="flex flex-col gap-2">
      {steps.map(({ at, state, text }, n) => {
        const before = steps[n - 1];
        return (
          <li key={`${state}${at}`} className="flex items-baseline gap-2">
            <Glyph state={state} className="self-center" />
            <span className="flex-1">
              {text}
              {before && <span className="text-ink3"> · after {duration(ms(at) - ms(before.at))}</span>}
            </span>
            <span className="text-ink3 text-meta" title={absolute(at)}>
              <When at={at} />
            </span>
          </li>
        );
      })}
    </ol>
  );
}
