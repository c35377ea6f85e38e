// Frames between their arrival and the page: folded by id, applied once a frame of the screen (once a
// second in a hidden tab), and then acknowledged.

import type { BatchRow, Counts, Frame, JobRow, LiveUsage, OperationRow } from "./protocol";

export type News = {
  jobs: JobRow[];
  batches: BatchRow[];
  operations: OperationRow[];
  counts: Counts | undefined;
  groups: Record<string, Counts> | undefined;
  usage: LiveUsage | undefined;
  /** To acknowledge, and where the next connection goes on. */
  cursor: string | undefined;
};

/** More than this unapplied, and reading anew is cheaper. */
const TOO_MANY = 10_000;
const HIDDEN_MS = 1000;

/** `apply` gets what was folded; `flood` is called instead when it was too much. */
export function inbox(apply: (news: News) => void, flood: (cursor: string | undefined) => void) {
  let jobs = new Map<string, JobRow>();
  let batches = new Map<string, BatchRow>();
  let operations = new Map<string, OperationRow>();
  let rest: Omit<News, "jobs" | "batches" | "operations"> = empty();
  let cancel: (() => void) | undefined;

  function empty() {
    return { counts: undefined, groups: undefined, usage: undefined, cursor: undefined };
  }

  function drop() {
    cancel?.();
    cancel = undefined;
    jobs = new Map();
    batches = new Map();
    operations = new Map();
    rest = empty();
  }

  function flush() {
    if (!cancel) return;
    const news: News = {
      jobs: [...jobs.values()],
      batches: [...batches.values()],
      operations: [...operations.values()],
      ...rest,
    };
    drop();
    apply(news);
  }

  function schedule() {
    if (cancel) return;
    if (document.visibilityState === "hidden") {
      const timer = setTimeout(flush, HIDDEN_MS);
      cancel = () => clearTimeout(timer);
    } else {
      const frame = requestAnimationFrame(flush);
      cancel = () => cancelAnimationFrame(frame);
    }
  }

  const fold = <R extends { id: string; rev: number }>(into: Map<string, R>, rows: R[] | undefined) => {
    for (const row of rows ?? []) if (row.rev >= (into.get(row.id)?.rev ?? -1)) into.set(row.id, row);
  };

  return {
    take(frame: Extract<Frame, { t: "rows" | "counts" | "beat" }>) {
      if (frame.t === "rows") {
        fold(jobs, frame.jobs);
        fold(batches, frame.batches);
        fold(operations, frame.operations);
      } else if (frame.t === "counts") {
        rest.counts = frame.jobs ?? rest.counts;
        rest.groups = frame.groups ? { ...rest.groups, ...frame.groups } : rest.groups;
        rest.usage = frame.usage ?? rest.usage;
      }
      if (frame.t !== "counts") rest.cursor = frame.cursor;
      if (jobs.size + batches.size > TOO_MANY) {
        const { cursor } = rest;
        drop();
        flood(cursor);
      } else schedule();
    },
    flush,
    drop,
    /** The tab was shown or hidden: a hidden one gets no animation frames. */
    reschedule() {
      if (!cancel) return;
      cancel();
      cancel = undefined;
      schedule();
    },
  };
}
