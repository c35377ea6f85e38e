import { type Group, unfinished } from "../../api/groups";
import { compact, count } from "../../lib/number";
import { duration, ms, useNow } from "../../lib/time";
import { Left } from "../../parts/Left";
import { Cost } from "../../ui/Cost";
import type { Column } from "../../ui/VirtualTable";
import { When } from "../../ui/When";
import { Progress } from "./Progress";

const none = <span className="text-ink3">–</span>;

export const COLUMNS: readonly Column<Group>[] = [
  {
    id: "name",
    title: "Group",
    track: "minmax(6rem,1.4fr)",
    cell: ({ id, name }) => name ?? <code className="font-mono text-meta">{id}</code>,
  },
  {
    id: "progress",
    title: "Progress",
    track: "minmax(5rem,1.4fr)",
    cell: ({ counts, jobs }) => <Progress counts={counts} jobs={jobs} />,
  },
  {
    id: "ended",
    title: "Ended",
    track: "minmax(5.5rem,0.6fr)",
    end: true,
    cell: ({ counts, jobs }) => (
      <span title={`${count(jobs - unfinished(counts))} of ${count(jobs)}`}>
        {compact(jobs - unfinished(counts))} <span className="text-ink2">of {compact(jobs)}</span>
      </span>
    ),
  },
  {
    id: "failed",
    title: "Failed",
    track: "4.5rem",
    end: true,
    from: 560,
    cell: ({ counts }) =>
      counts.failed > 0 ? <span className="text-bad">{count(counts.failed)}</span> : none,
  },
  {
    id: "running",
    title: "Running for",
    track: "6rem",
    end: true,
    from: 780,
    cell: (group) => (group.done ? none : <Elapsed since={group.created_at} />),
  },
  {
    id: "left",
    title: "Time left",
    track: "8.5rem",
    end: true,
    from: 620,
    cell: (group) => (group.done ? none : <Left group={group} />),
  },
  {
    id: "cost",
    title: "Cost",
    track: "6rem",
    end: true,
    from: 860,
    cell: ({ cost, unpriced }) => (
      <span title={unpriced ? "Some of its models have no known price; theirs is not in it" : undefined}>
        <Cost amount={cost} decimals={4} />
      </span>
    ),
  },
  {
    id: "saved",
    title: "Saved",
    track: "6rem",
    end: true,
    from: 960,
    cell: ({ saved }) => <Cost amount={saved} decimals={4} />,
  },
  {
    id: "created",
    title: "Created",
    track: "4.5rem",
    end: true,
    from: 440,
    cell: (group) => <When at={group.created_at} />,
  },
];

/** Since its upload began. */
export function Elapsed({ since }: { since: string }) {
  return <>{duration(useNow() - ms(since))}</>;
}
