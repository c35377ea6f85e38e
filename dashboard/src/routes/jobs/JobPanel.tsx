import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { can, hasEnded, type Job, jobQuery } from "../../api/jobs";
import { useMay } from "../../api/session";
import { useKeys } from "../../lib/keys";
import { exactMoney, savedPercent, subtractDollars } from "../../lib/money";
import { count } from "../../lib/number";
import { at } from "../../lib/root";
import { useJob, useJobRev, useWatch } from "../../live/hooks";
import { Result } from "../../parts/Result";
import { Button } from "../../ui/Button";
import { Code } from "../../ui/Code";
import { CopyId, copyText } from "../../ui/Copy";
import { StateLabel, words } from "../../ui/Glyph";
import { Fact, Facts, Panel, Section } from "../../ui/Panel";
import { ProblemNote } from "../../ui/ProblemNote";
import { SkeletonText } from "../../ui/Skeleton";
import { toast } from "../../ui/Toast";
import { Moment } from "../../ui/When";
import { Attempts } from "./Attempts";
import { useBulk } from "./BulkBar";
import { aheadWords, JobLeft } from "./Place";
import { Request } from "./Request";

export function JobPanel({ id, onClose }: { id: string; onClose: () => void }) {
  const rev = useJobRev(id);
  const read = useQuery(jobQuery(id, rev));
  const job = useJob(id);
  useWatch(useMemo(() => [id], [id]));
  useKeys({
    y: () => void copyText(id).then((done) => done && toast("Copied the job id")),
  });
  return (
    <Panel
      label="Job"
      title={job ? <StateLabel state={job.state} label={job.label} /> : "Job"}
      actions={job && <Actions job={job} />}
      onClose={onClose}
    >
      {job ? (
        <Detail job={job} rev={rev} />
      ) : read.isError ? (
        <ProblemNote error={read.error} onRetry={() => void read.refetch()} />
      ) : (
        <SkeletonText lines={8} label="Loading the job" />
      )}
    </Panel>
  );
}

function Actions({ job }: { job: Job }) {
  const ids = useMemo(() => [job.id], [job.id]);
  const { may, ask, dialog, progress } = useBulk(ids, () => {});
  const waits = progress !== undefined;
  return (
    <>
      {may && can.cancel(job) && (
        <Button disabled={waits} onClick={() => ask("cancel")}>
          Cancel job
        </Button>
      )}
      {may && can.retry(job) && (
        <Button disabled={waits} onClick={() => ask("retry")}>
          Retry
        </Button>
      )}
      {dialog}
    </>
  );
}

function Detail({ job, rev }: { job: Job; rev: number }) {
  const sees = useMay("results:read");
  const curl = `curl ${location.origin}${at(`/v1/jobs/${job.id}`)} -H "authorization: Bearer $OFFPEAK_KEY"`;
  return (
    <>
      <p className="mb-4 text-ink2">{standing(job)}</p>
      <Facts>
        <Fact name="Job">
          <CopyId id={job.id} what="job id" />
        </Fact>
        <Fact name="Type">{job.type && `${job.type}, version ${job.type_version}`}</Fact>
        <Fact name="Model">{job.model}</Fact>
        <Fact name="User">{job.user}</Fact>
        <Fact name="Group">{job.group && <CopyId id={job.group} what="group id" to="/groups" />}</Fact>
        <Fact name="Batch">{job.batch && <CopyId id={job.batch} what="batch id" to="/batches" />}</Fact>
        <Fact name="Answer of">{job.source && <CopyId id={job.source} what="job id" to="/jobs" />}</Fact>
        <Fact name="Lane">{job.lane === "direct" ? "direct, at the normal price" : "batch"}</Fact>
        <Fact name="Priority">{job.priority !== "normal" && job.priority}</Fact>
        <Fact name="Attempt">{job.attempt > 1 && count(job.attempt)}</Fact>
        <Fact name="Wanted within">
          {job.deliver_within && `${job.deliver_within}${job.on_late ? `, else ${job.on_late}` : ""}`}
        </Fact>
        <Fact name="Wanted by">{job.deadline && <Moment at={job.deadline} />}</Fact>
        <Fact name="Before it">{job.state === "queued" && job.ahead && aheadWords(job.ahead)}</Fact>
        <Fact name="Time left">{!hasEnded(job.state) && job.left && <JobLeft left={job.left} />}</Fact>
        <Fact name="Expected by">{job.expected_by && <Moment at={job.expected_by} />}</Fact>
        <Fact name="Latest by">{job.latest_by && <Moment at={job.latest_by} />}</Fact>
      </Facts>
      {sees ? (
        <>
          {hasEnded(job.state) && <Result job={job} rev={rev} />}
          <Request id={job.id} />
        </>
      ) : (
        <p className="mt-4 text-ink3">What was asked and answered is not among what you may see.</p>
      )}
      {hasEnded(job.state) && <Money job={job} />}
      <Attempts job={job} rev={rev} />
      {job.metadata && (
        <Section title="Metadata">
          <Code text={JSON.stringify(job.metadata, null, 2)} what="metadata" wrap />
        </Section>
      )}
      <Section title="From a program">
        <Code text={curl} what="command" />
      </Section>
    </>
  );
}

const DETAIL = {
  waiting: "Waits for its batch to fill.",
  sending: "Its batch is being sent.",
  confirming: "Whether its batch has arrived at Anthropic is being found out. It is not sent twice.",
  sharing: "Waits for another job that asks the same; its answer will be this one's too.",
} as const;

/** How it stands and what comes next, in a sentence. */
function standing(job: Job): string {
  switch (job.state) {
    case "queued":
      return job.detail ? DETAIL[job.detail] : "Waits to be sent.";
    case "submitted":
      return "At Anthropic. It says nothing of a batch before all of it has ended.";
    case "processing":
      return job.lane === "direct"
        ? "The call to Anthropic runs."
        : "Its batch has ended; the results are being read.";
    case "completed":
      return job.source
        ? "Has the answer of another job that asked the same. It cost nothing."
        : "Has its answer.";
    case "failed":
      return job.reason ?? (job.label ? `Failed: ${words(job.label)}.` : "Failed.");
    case "canceled":
      return job.reason ?? "Was canceled. It can be retried.";
  }
}

function Money({ job }: { job: Job }) {
  const { cost, cost_sync: full, usage } = job;
  const saved = cost && full ? savedPercent(cost, full) : null;
  return (
    <Section title="Cost and tokens">
      <Facts>
        <Fact name="Cost">
          {cost ? exactMoney(cost) : "no price is known for this model, or nothing was billed"}
        </Fact>
        <Fact name="At normal price">{full && exactMoney(full)}</Fact>
        <Fact name="Saved">
          {cost && full && saved !== null && (
            <span className={saved > 0 ? "text-gain" : undefined}>
              {exactMoney(subtractDollars(full, cost))} · {saved} %
            </span>
          )}
        </Fact>
        {usage && (
          <>
            <Fact name="Input">{count(usage.input_tokens)} tokens</Fact>
            <Fact name="Output">{count(usage.output_tokens)} tokens</Fact>
            <Fact name="Cache read">
              {usage.cache_read_tokens > 0 && `${count(usage.cache_read_tokens)} tokens`}
            </Fact>
            <Fact name="Cache written">
              {usage.cache_write_tokens > 0 && `${count(usage.cache_write_tokens)} tokens`}
            </Fact>
          </>
        )}
      </Facts>
    </Section>
  );
}
