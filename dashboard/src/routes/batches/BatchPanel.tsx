import { useQuery } from "@tanstack/react-query";
import { type Batch, batchQuery } from "../../api/batches";
import { useKeys } from "../../lib/keys";
import { exactMoney, subtractDollars } from "../../lib/money";
import { bytes, count, plural } from "../../lib/number";
import { percent } from "../../lib/rate";
import { useNow } from "../../lib/time";
import { useBatch, useBatchRev } from "../../live/hooks";
import { BatchLane, batchAge, usualWords } from "../../parts/BatchLane";
import { CopyId, copyText } from "../../ui/Copy";
import { StateLabel } from "../../ui/Glyph";
import { Go } from "../../ui/Go";
import { Fact, Facts, Panel, Section } from "../../ui/Panel";
import { ProblemNote } from "../../ui/ProblemNote";
import { SkeletonText } from "../../ui/Skeleton";
import { toast } from "../../ui/Toast";
import { Moment } from "../../ui/When";
import { CACHE, closedWhy } from "./words";

export function BatchPanel({ id, onClose }: { id: string; onClose: () => void }) {
  const read = useQuery(batchQuery(id, useBatchRev(id)));
  const batch = useBatch(id);
  useKeys({ y: () => void copyText(id).then((done) => done && toast("Copied the batch id")) });
  return (
    <Panel label="Batch" title={batch ? <StateLabel state={batch.state} /> : "Batch"} onClose={onClose}>
      {batch ? (
        <Detail batch={batch} />
      ) : read.isError ? (
        <ProblemNote error={read.error} onRetry={() => void read.refetch()} />
      ) : (
        <SkeletonText lines={8} label="Loading the batch" />
      )}
    </Panel>
  );
}

function Detail({ batch }: { batch: Batch }) {
  return (
    <>
      <p className="mb-4 text-ink2">{STANDING[batch.state]}</p>
      <Facts>
        <Fact name="Batch">
          <CopyId id={batch.id} what="batch id" />
        </Fact>
        <Fact name="At Anthropic">
          {batch.upstream_batch && <CopyId id={batch.upstream_batch} what="id at Anthropic" />}
        </Fact>
        <Fact name="Model">{batch.model}</Fact>
        <Fact name="Jobs">
          <Go to="/jobs" search={{ batch: batch.id }}>
            {plural(batch.items, "job")}
          </Go>
        </Fact>
        <Fact name="Size">{bytes(batch.bytes)}</Fact>
        <Fact name="Closed">{closedWhy(batch.close_reason)}</Fact>
      </Facts>
      <Age batch={batch} />
      <Section title="How its jobs ended">
        {batch.counts ? (
          <Facts>
            <Fact name="With an answer">{count(batch.counts.succeeded)}</Fact>
            <Fact name="With an error">{count(batch.counts.errored)}</Fact>
            <Fact name="Canceled">{count(batch.counts.canceled)}</Fact>
            <Fact name="Not run in time">{count(batch.counts.expired)}</Fact>
          </Facts>
        ) : (
          <p className="text-ink2">Anthropic says so once the whole batch has ended, and nothing before.</p>
        )}
      </Section>
      {batch.cache && <Cache cache={batch.cache} />}
      <Section title="Times">
        <Facts>
          <Fact name="Planned">
            <Moment at={batch.planned_at} />
          </Fact>
          <Fact name="Sent">{batch.sent_at && <Moment at={batch.sent_at} />}</Fact>
          <Fact name="Created">{batch.created_at && <Moment at={batch.created_at} />}</Fact>
          <Fact name="Ended">{batch.ended_at && <Moment at={batch.ended_at} />}</Fact>
          <Fact name="Results stored">{batch.ingested_at && <Moment at={batch.ingested_at} />}</Fact>
          <Fact name="Expires">
            {!batch.ended_at && batch.expires_at && <Moment at={batch.expires_at} />}
          </Fact>
        </Facts>
      </Section>
    </>
  );
}

const STANDING: Record<Batch["state"], string> = {
  planned: "Its jobs are grouped. It is sent next.",
  sending: "It is being sent to Anthropic.",
  uncertain: "Whether it has arrived at Anthropic is being found out. It is not sent twice.",
  in_progress: "At Anthropic. It says nothing of a batch before all of it has ended.",
  canceling: "Anthropic was asked to end it early.",
  ended: "Ended at Anthropic. Its results are being read.",
  ingested: "Every result is stored.",
  refuted: "It was never created at Anthropic. Its jobs go into another batch.",
  rejected: "Anthropic refused it as a whole. Its jobs go into smaller batches.",
};

function Age({ batch }: { batch: Batch }) {
  const now = useNow();
  if (!batch.created_at) return null;
  const like = usualWords(batch);
  return (
    <Section title="Age">
      <BatchLane id={batch.id} />
      <p className="mt-2 text-ink2">
        {batchAge(batch, now)}.{" "}
        {like ? `${like[0]?.toUpperCase()}${like.slice(1)}.` : "What is usual is known after 20 of its size."}
      </p>
    </Section>
  );
}

const PRIME = {
  primed: "was answered, and billed",
  refused: "was not billed",
  unknown: "its answer was lost; it costs nothing",
} as const;

function Cache({ cache }: { cache: NonNullable<Batch["cache"]> }) {
  const marked = cache.mark !== "none";
  return (
    <Section title="Prompt cache">
      <p className="mb-2 text-ink2">{CACHE[cache.reason] ?? cache.reason}</p>
      <Facts>
        <Fact name="In common">
          {cache.prefix_tokens > 0 && `about ${count(cache.prefix_tokens)} tokens a job`}
        </Fact>
        <Fact name="Hits expected">{marked && percent(cache.predicted_hit_rate)}</Fact>
        <Fact name="Hits">
          {marked &&
            (cache.real_hit_rate === null
              ? "known when all results are stored"
              : percent(cache.real_hit_rate))}
        </Fact>
        <Fact name="Expected to save">
          {marked && exactMoney(subtractDollars(cache.predicted_cost_without, cache.predicted_cost))}
        </Fact>
        <Fact name="Request ahead">{cache.prime_outcome && PRIME[cache.prime_outcome]}</Fact>
        <Fact name="That cost">{cache.prime_cost && exactMoney(cache.prime_cost)}</Fact>
      </Facts>
    </Section>
  );
}
