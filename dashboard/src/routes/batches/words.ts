import type { Batch } from "../../api/batches";

type CloseReason = Batch["close_reason"];
type CacheReason = NonNullable<Batch["cache"]>["reason"];

/** Why it was closed when it was: for a column, and in full. */
export const CLOSED: Record<CloseReason, readonly [string, string]> = {
  item_limit: ["Full", "It had as many jobs as a batch may have."],
  byte_limit: ["Full, by size", "It had as many bytes as a batch may have."],
  age: ["Age", "Its first job had waited long enough."],
  idle: ["Nothing more came", "For a while no other job came."],
  urgency: ["Urgent", "A deadline was near."],
  create_rate: ["Create rate", "It waited longer, because batches may not be created faster."],
  queue_full: ["Queue full", "It was cut short, because no more may be queued at Anthropic."],
  turnaround: ["Turnaround", "A larger one would have answered later, or after a deadline."],
};

export const CACHE: Record<CacheReason, string> = {
  too_short: "Not marked: its jobs share nothing, or less than the model caches.",
  too_few: "Not marked: too few of its jobs share something in the time for which it is kept.",
  would_not_pay: "Not marked: at the hit rate that was to be expected it would have cost more.",
  pays_5m: "Marked to be kept for five minutes, which was expected to pay.",
  pays_1h: "Marked to be kept for an hour, which was expected to pay.",
  primed: "Marked, with one request ahead: that has raised the hit rate enough.",
  trial: "Marked, with one request ahead, to learn what that does to the hit rate.",
};

export const closedWord = (reason: CloseReason): string => CLOSED[reason]?.[0] ?? reason;
export const closedWhy = (reason: CloseReason): string => CLOSED[reason]?.[1] ?? reason;
