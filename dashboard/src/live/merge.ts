// What a live row says of a job or a batch, put into what HTTP said of it.

import type { components } from "../api/schema";
import type { BatchRow, JobRow, OperationRow } from "./protocol";

type Job = components["schemas"]["Job"];
type Batch = components["schemas"]["Batch"];
type Operation = components["schemas"]["Operation"];

const ENDED = ["completed", "failed", "canceled"];

export function mergeJob(job: Job, row: JobRow): Job {
  const ended = ENDED.includes(row.state);
  const merged: Job = {
    ...job,
    state: row.state,
    label: row.label ?? undefined,
    cost: row.cost ?? undefined,
    ended_at: ended ? row.at : undefined,
  };
  if (row.state === job.state) return merged;
  // What belonged to the state before is not true any more, and a row does not say what is now.
  merged.detail = undefined;
  merged.usage = merged.stop_reason = merged.reason = merged.cost_sync = undefined;
  if (ended) {
    merged.expected_by = null;
    merged.latest_by = merged.deadline = undefined;
  }
  return merged;
}

export const mergeBatch = (batch: Batch, row: BatchRow): Batch => ({ ...batch, state: row.state });

export const mergeOperation = (operation: Operation, row: OperationRow): Operation => ({
  ...operation,
  state: row.state,
});
