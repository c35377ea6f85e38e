import clsx from "clsx";
import type { ReactNode } from "react";
import type { Schemas } from "../api/client";

type JobState = Schemas["JobState"];
type BatchState = Schemas["BatchState"];
export type AnyState = JobState | BatchState;

const half = <path d="M8 4.5a3.5 3.5 0 0 1 0 7z" fill="currentColor" stroke="none" />;
const ring = <circle cx="8" cy="8" r="6" />;
const dashed = <circle cx="8" cy="8" r="6" strokeDasharray="2.4 2.3" />;
const check = <path d="m3 8.5 3.4 3.4L13 4.8" />;

/** Each its own shape, so that nothing hangs on colour alone. */
const SHAPES: Record<AnyState, ReactNode> = {
  queued: dashed,
  planned: dashed,
  sending: <path d="M8 13V3.5M4 7l4-4 4 4" />,
  submitted: (
    <>
      {ring}
      {half}
    </>
  ),
  in_progress: (
    <>
      {ring}
      {half}
    </>
  ),
  uncertain: (
    <>
      {dashed}
      <path d="M6.4 6.6A1.7 1.7 0 1 1 8 8.5v.7M8 11.2v.1" />
    </>
  ),
  canceling: (
    <>
      {dashed}
      <path d="M5 8h6" />
    </>
  ),
  processing: <path d="M8 3v9.5M4 9l4 4 4-4" />,
  ended: <path d="M8 3v9.5M4 9l4 4 4-4" />,
  completed: check,
  ingested: check,
  failed: <path d="M3 3h10v10H3zM8 5.6v3M8 10.6v.1" />,
  rejected: <path d="M3 3h10v10H3zM8 5.6v3M8 10.6v.1" />,
  refuted: <path d="m4 4 8 8M12 4l-8 8" />,
  canceled: <path d="M8 2a6 6 0 1 1 0 12A6 6 0 0 1 8 2zM5 8h6" />,
};

const COLOURS: Record<AnyState, string> = {
  queued: "text-wait",
  planned: "text-wait",
  sending: "text-tide",
  submitted: "text-tide",
  in_progress: "text-tide",
  uncertain: "text-warn",
  canceling: "text-ink3",
  processing: "text-tide",
  ended: "text-tide",
  completed: "text-gain",
  ingested: "text-gain",
  failed: "text-bad",
  rejected: "text-bad",
  refuted: "text-ink3",
  canceled: "text-ink3",
};

const WORDS: Record<AnyState, string> = {
  queued: "Queued",
  planned: "Planned",
  sending: "Sending",
  submitted: "Submitted",
  in_progress: "In progress",
  uncertain: "Uncertain",
  canceling: "Canceling",
  processing: "Processing",
  ended: "Ended",
  completed: "Completed",
  ingested: "Ingested",
  failed: "Failed",
  rejected: "Rejected",
  refuted: "Refuted",
  canceled: "Canceled",
};

export const stateWord = (state: AnyState): string => WORDS[state] ?? state;

export function Glyph({ state, className }: { state: AnyState; className?: string }) {
  return (
    <svg
      className={clsx("size-4 shrink-0", COLOURS[state] ?? "text-ink3", className)}
      viewBox="0 0 16 16"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.6"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
    >
      {SHAPES[state] ?? ring}
    </svg>
  );
}

/** Glyph and word. A label of failure stands behind it. */
export function StateLabel({ state, label }: { state: AnyState; label?: string | null }) {
  return (
    <span className="flex min-w-0 items-center gap-2">
      <Glyph state={state} />
      <span className="truncate">
        {stateWord(state)}
        {label && <span className="text-ink3"> · {words(label)}</span>}
      </span>
    </span>
  );
}

/** A word of the API for a person: `outcome_unknown` is `outcome unknown`. */
export const words = (label: string): string => label.replaceAll("_", " ");
