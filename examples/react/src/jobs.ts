// What the page knows of a user's jobs, and how news changes it. No network here.

export type State = "queued" | "submitted" | "processing" | "completed" | "failed" | "canceled";

/** A row as `/v1/live` sends it. `rev` grows with each change of a job. */
export type Row = { id: string; rev: number; state: State; at: string; label?: string | null };

/** What a job answered, or why it did not; `problem` when that could not be read. */
export type Result = { text?: string | null; reason?: string | null; standin?: boolean; problem?: string };

export type Job = Row & { result?: Result };

export type Timer = ReturnType<typeof setTimeout>;

/** `loaded`: `jobs` was complete once. `live`: it is now; otherwise not since `since`. */
export type Jobs = { jobs: Job[]; loaded: boolean; live: boolean; since: number; problem?: string };

/** A job of `GET /v1/jobs` as a row: older than any that comes live. */
export const listed = (job: Omit<Row, "at"> & { created_at: string; ended_at?: string }): Row => ({
  id: job.id,
  rev: 0,
  state: job.state,
  at: job.ended_at ?? job.created_at,
  label: job.label,
});

/** Before the list is read anew: what comes next is newer than what is known. */
export const unsure = (jobs: Job[]): Job[] => jobs.map((job) => ({ ...job, rev: -1 }));

/** Takes each row whose `rev` is above the known one. Newest job first: an id begins with its time. */
export function apply(jobs: Job[], rows: Row[]): Job[] {
  const known = new Map(jobs.map((job) => [job.id, job]));
  for (const row of rows) {
    const old = known.get(row.id);
    if (old && old.rev >= row.rev) continue;
    known.set(row.id, { ...row, result: old?.state === row.state ? old.result : undefined });
  }
  return [...known.values()].sort((a, b) => (a.id < b.id ? 1 : -1));
}

/** Full jitter, so that a thousand pages do not return at once: up to 0.5 s, doubling to 30 s. */
export const backoff = (attempt: number) => Math.random() * Math.min(30_000, 500 * 2 ** attempt);
