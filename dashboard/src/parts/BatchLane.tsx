import type { Batch } from "../api/batches";
import { Lane } from "../charts/Lane";
import { plural } from "../lib/number";
import { duration, ms, relative, useNow } from "../lib/time";
import { useBatch } from "../live/hooks";

/** How old a batch is at Anthropic, in words: against what is usual, and against the end. */
export function batchAge(batch: Batch, now: number): string {
  const { created_at: created, ended_at: ended, expires_at: expires } = batch;
  if (!created) return `Planned ${relative(batch.planned_at, now)}, not at Anthropic`;
  const age = duration((ended ? ms(ended) : now) - ms(created));
  if (ended) return `Ended after ${age}`;
  return `${age} at Anthropic${expires ? `, which gives up ${relative(expires, now)}` : ""}`;
}

export const usualWords = ({ usual }: Batch): string | undefined =>
  usual
    ? `half of ${plural(usual.batches, "like batch", "like batches")} ended within ${duration(usual.p50_seconds * 1000)}, 90 % within ${duration(usual.p90_seconds * 1000)}`
    : undefined;

/** Its age against the usual band and the expiry. Nothing is drawn before Anthropic has it. */
export function BatchLane({ id }: { id: string }) {
  const batch = useBatch(id);
  const now = useNow();
  if (!batch) return null;
  const { created_at: created, ended_at: ended, expires_at: expires, usual } = batch;
  if (!created || !expires) return <span className="truncate text-ink3 text-meta">Not at Anthropic yet</span>;
  const like = usualWords(batch);
  return (
    <Lane
      label={`${batchAge(batch, now)}${like ? `; ${like}` : ""}`}
      age={(ended ? ms(ended) : now) - ms(created)}
      band={usual ? { p50: usual.p50_seconds * 1000, p90: usual.p90_seconds * 1000 } : undefined}
      limit={ms(expires) - ms(created)}
      done={ended !== null}
    />
  );
}
