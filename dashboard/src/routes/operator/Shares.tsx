import type { TenantRow } from "../../api/operator";
import { count } from "../../lib/number";
import { percent } from "./words";

/** What a tenant got lately, beside what its weight entitles it to: two bars on one scale, with their numbers. */
export function Shares({ row: { sent, share, fair_share } }: { row: TenantRow }) {
  return (
    <div className="grid w-full min-w-50 max-w-lg grid-cols-[2rem_1fr_auto] items-center gap-x-2 text-left text-meta leading-4">
      <span className="text-ink3">sent</span>
      <Bar part={share ?? 0} tone="fill-tide" />
      <span className="min-w-21 text-right">
        {count(sent)}
        {share !== null && sent > 0 && ` · ${percent(share)}`}
      </span>
      <span className="text-ink3">fair</span>
      <Bar part={fair_share ?? 0} tone="fill-wait" />
      <span className="text-right text-ink2">{fair_share === null ? "none waits" : percent(fair_share)}</span>
    </div>
  );
}

const Bar = ({ part, tone }: { part: number; tone: string }) => (
  <svg className="h-1 w-full rounded-sm bg-sunk" aria-hidden="true">
    <rect width={`${Math.min(1, part) * 100}%`} height="100%" className={tone} />
  </svg>
);
