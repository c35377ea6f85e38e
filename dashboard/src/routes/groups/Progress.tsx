import { type Counts, unfinished } from "../../api/groups";
import { count, plural } from "../../lib/number";

/** What has ended, by how: counted jobs, nothing guessed. */
export function Progress({ counts, jobs }: { counts: Counts; jobs: number }) {
  const words = progressWords(counts, jobs);
  const parts = [
    [counts.completed, "bg-gain"],
    [counts.failed, "bg-bad"],
    [counts.canceled, "bg-ink3"],
  ] as const;
  return (
    <span
      role="img"
      aria-label={words}
      title={words}
      className="flex h-1.5 w-full gap-px overflow-hidden rounded-sm bg-line2"
    >
      {parts.map(
        ([n, colour]) => n > 0 && <Bar key={colour} share={n / Math.max(1, jobs)} className={colour} />,
      )}
    </span>
  );
}

/** `style` set by script is allowed by the policy; as an attribute in markup it is not. */
function Bar({ share, className }: { share: number; className: string }) {
  return <span className={`${className} min-w-px`} style={{ flexBasis: `${share * 100}%` }} />;
}

export function progressWords(counts: Counts, jobs: number): string {
  const open = unfinished(counts);
  const words = [
    `${count(jobs - open)} of ${plural(jobs, "job")} ended`,
    counts.failed > 0 && `${count(counts.failed)} failed`,
    counts.canceled > 0 && `${count(counts.canceled)} canceled`,
    counts.queued > 0 && `${count(counts.queued)} queued`,
    counts.submitted + counts.processing > 0 && `${count(counts.submitted + counts.processing)} at Anthropic`,
  ];
  return words.filter(Boolean).join(", ");
}
