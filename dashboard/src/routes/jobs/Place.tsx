import type { Job } from "../../api/jobs";
import { plural } from "../../lib/number";
import { LeftInFull } from "../../parts/Left";

/** `12 jobs of yours`, `More than 1,000 jobs of yours`. */
export function aheadWords({ jobs, more }: NonNullable<Job["ahead"]>): string {
  if (more) return `More than ${plural(jobs, "job")} of yours`;
  return jobs === 0 ? "No job of yours" : `${plural(jobs, "job")} of yours`;
}

/** How long it still takes, and what that rests on. */
export const JobLeft = ({ left }: { left: NonNullable<Job["left"]> }) => (
  <LeftInFull group={{ left, done: false }} />
);
