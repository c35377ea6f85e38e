import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { type Attempt, attemptsQuery, type Job } from "../../api/jobs";
import { exactMoney } from "../../lib/money";
import { count, plural } from "../../lib/number";
import { absolute, duration, ms } from "../../lib/time";
import { useBatchRev } from "../../live/hooks";
import { Button } from "../../ui/Button";
import { CopyId } from "../../ui/Copy";
import { type AnyState, Glyph, words } from "../../ui/Glyph";
import { Section } from "../../ui/Panel";
import { ProblemNote } from "../../ui/ProblemNote";
import { SkeletonText } from "../../ui/Skeleton";
import { When } from "../../ui/When";

/** So many are shown before one asks for those before them. */
const SHOWN = 5;

/** Everything that was tried for a job, with how long each step of it took. */
export function Attempts({ job, rev }: { job: Job; rev: number }) {
  const read = useQuery(attemptsQuery(job.id, rev, useBatchRev(job.batch ?? "")));
  const [all, setAll] = useState(false);
  const attempts = read.data?.attempts ?? [];
  const shown = all ? attempts : attempts.slice(-SHOWN);
  return (
    <Section title="Timeline">
      {read.data ? (
        <ol className="flex flex-col gap-4">
          <li>
            <Step at={read.data.created_at} text="Accepted" />
          </li>
          {shown.length < attempts.length && (
            <li>
              <Button onClick={() => setAll(true)}>
                Show {plural(attempts.length - shown.length, "earlier attempt")}
              </Button>
            </li>
          )}
          {shown.map((attempt, n) => (
            <One
              // Two may have one number: a late answer stands beside a cancel.
              key={`${attempt.number}-${attempt.batch}-${attempt.ended_at}`}
              attempt={attempt}
              several={attempts.length > 1}
              after={n === 0 ? read.data.created_at : (shown[n - 1]?.ended_at ?? undefined)}
            />
          ))}
        </ol>
      ) : read.isError ? (
        <ProblemNote error={read.error} onRetry={() => void read.refetch()} />
      ) : (
        <SkeletonText label="Loading the timeline" />
      )}
    </Section>
  );
}

const ENDS: Record<NonNullable<Attempt["outcome"]>, { glyph: AnyState; text: string }> = {
  completed: { glyph: "completed", text: "Completed" },
  failed: { glyph: "failed", text: "Failed" },
  canceled: { glyph: "canceled", text: "Canceled" },
  expired: { glyph: "failed", text: "Expired at Anthropic" },
  errored: { glyph: "failed", text: "Error at Anthropic" },
  refuted: { glyph: "refuted", text: "Never arrived at Anthropic" },
  rejected: { glyph: "rejected", text: "Batch refused by Anthropic" },
};

/** How it stands or how it ended: glyph and words. */
function standing(attempt: Attempt): { glyph: AnyState; text: string } {
  if (attempt.outcome) {
    const { glyph, text } = ENDS[attempt.outcome];
    return { glyph, text: attempt.label ? `${text} · ${words(attempt.label)}` : text };
  }
  if (attempt.lane === null) return { glyph: "queued", text: "Waits for another job's answer" };
  if (attempt.answered_at) return { glyph: "processing", text: "Its answer is being read" };
  if (attempt.batch_state === "uncertain")
    return { glyph: "uncertain", text: "Whether it arrived is not known yet" };
  if (attempt.created_at) return { glyph: "in_progress", text: "At Anthropic" };
  if (attempt.sent_at) return { glyph: "sending", text: "Being sent" };
  return {
    glyph: "queued",
    text: attempt.grouped_at ? "In a batch that is not sent yet" : "Waits to be sent",
  };
}

const LANES = { batch: "in a batch", direct: "direct, at the normal price" } as const;

function One(props: { attempt: Attempt; several: boolean; after: string | undefined }) {
  const { attempt, several, after } = props;
  const { glyph, text } = standing(attempt);
  const direct = attempt.lane === "direct";
  const times: [string | null, string][] = [
    [attempt.grouped_at, "Grouped into a batch"],
    [attempt.sent_at, direct ? "Call sent" : "Sent"],
    [attempt.created_at, "Accepted by Anthropic"],
    [attempt.answered_at, direct ? "Answered" : "Batch ended at Anthropic"],
    [attempt.ended_at, "Its end was stored"],
  ];
  const steps = times.filter((step): step is [string, string] => step[0] !== null);
  return (
    <li aria-label={`Attempt ${attempt.number}`} className="border-line border-l-2 pl-3">
      <div className="flex items-baseline gap-2">
        <Glyph state={glyph} className="self-center" />
        <span className="min-w-0 flex-1">
          <span className="font-semibold">{text}</span>
          {attempt.lane && <span className="text-ink2"> · {LANES[attempt.lane]}</span>}
        </span>
        <span className="shrink-0 text-ink3 text-meta">
          attempt {count(attempt.number)}
          {several && attempt.is_result && ", gave the result"}
        </span>
      </div>
      {attempt.batch && (
        <p className="mt-1 flex items-center gap-2 text-ink2 text-meta">
          <CopyId id={attempt.batch} what="batch id" />
        </p>
      )}
      {attempt.still_at_anthropic && (
        <p className="mt-1 text-warn">Still at Anthropic, although its job was canceled: it may be billed.</p>
      )}
      <ol className="mt-1.5 flex flex-col gap-1">
        {steps.map(([at, what], n) => (
          <li key={what}>
            <Step at={at} text={what} after={steps[n - 1]?.[0] ?? after} />
          </li>
        ))}
      </ol>
      {attempt.bill && <Bill bill={attempt.bill} />}
    </li>
  );
}

function Step({ at, text, after }: { at: string; text: string; after?: string | undefined }) {
  return (
    <p className="flex items-baseline gap-2">
      <span className="flex-1">
        {text}
        {after && ms(at) >= ms(after) && (
          <span className="text-ink3"> · after {duration(ms(at) - ms(after))}</span>
        )}
      </span>
      <span className="shrink-0 text-ink3 text-meta" title={absolute(at)}>
        <When at={at} />
      </span>
    </p>
  );
}

const ITEMS: Record<NonNullable<Attempt["bill"]>["lines"][number]["item"], string> = {
  input: "Input tokens",
  output: "Output tokens",
  cache_write_5m: "Cache written, 5 minutes",
  cache_write_1h: "Cache written, 1 hour",
  cache_read: "Cache read",
  web_search: "Web searches",
};

/** What it cost, item by item when it is opened. */
function Bill({ bill }: { bill: NonNullable<Attempt["bill"]> }) {
  return (
    <details className="mt-1.5">
      <summary className="cursor-pointer">
        Cost {exactMoney(bill.cost)}
        <span className="text-ink3"> · {bill.model}</span>
      </summary>
      <table className="mt-1 w-full text-meta">
        <thead className="text-ink3">
          <tr>
            <th className="text-left font-normal">For</th>
            <th className="text-right font-normal">Units</th>
            <th className="text-right font-normal">Each</th>
            <th className="text-right font-normal">Cost</th>
          </tr>
        </thead>
        <tbody className="tabular-nums">
          {bill.lines.map((line) => (
            <tr key={line.item}>
              <td>{ITEMS[line.item]}</td>
              <td className="text-right">{count(line.units)}</td>
              <td className="text-right">{line.each === null ? "–" : exactMoney(line.each)}</td>
              <td className="text-right">{exactMoney(line.cost)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </details>
  );
}
