import { useQuery } from "@tanstack/react-query";
import { spendQuery, type TenantDay } from "../../api/operator";
import { DayBars } from "../../charts/DayBars";
import {
  addDollars,
  decimalsFor,
  dollarsForScale,
  money,
  savedPercent,
  subtractDollars,
  tickDollars,
} from "../../lib/money";
import { Cost } from "../../ui/Cost";
import { ProblemNote } from "../../ui/ProblemNote";
import { SkeletonText } from "../../ui/Skeleton";
import { type Cell, Table } from "../../ui/Table";

const DAYS = 31;
const DAY_MS = 24 * 3_600_000;
const dayWord = new Intl.DateTimeFormat("en", { day: "numeric", month: "short", timeZone: "UTC" });

/** What a tenant was billed in the last 31 days: a chart, and the same numbers as a table. */
export function TenantSpend({ id }: { id: string }) {
  const read = useQuery(spendQuery(id));
  if (read.isPending) return <SkeletonText lines={6} label="Loading what was spent" />;
  if (!read.data) return <ProblemNote error={read.error} onRetry={() => void read.refetch()} />;
  if (read.data.length === 0) return <p className="text-ink2">Nothing was billed in the last 31 days.</p>;
  return <Report days={read.data} />;
}

function Report({ days }: { days: readonly TenantDay[] }) {
  const sum: TenantDay = {
    day: "",
    cost: addDollars(...days.map(({ cost }) => cost)),
    cost_sync: addDollars(...days.map(({ cost_sync }) => cost_sync)),
  };
  const decimals = decimalsFor(days.flatMap(({ cost, cost_sync }) => [cost, cost_sync]));
  const percent = savedPercent(sum.cost, sum.cost_sync);
  return (
    <>
      <p className="mb-3 text-ink2">
        <span className="text-ink">{money(sum.cost, decimals)}</span> in the last 31 days
        {percent !== null && `, ${percent} % less than synchronously`}.
      </p>
      <DayBars
        label="What was paid each day of the last 31, and saved against the synchronous price"
        parts={[
          { key: "paid", name: "Paid", tone: "tide" },
          { key: "saved", name: "Saved against the synchronous price", tone: "soft" },
        ]}
        bars={barsOf(days, decimals)}
        format={tickDollars}
        height={140}
      />
      <p className="mt-1 mb-3 text-ink3 text-meta">Days are UTC's.</p>
      <Table
        label="By day"
        columns={columns(decimals)}
        rows={[...days].sort((a, b) => b.day.localeCompare(a.day))}
        keyOf={({ day }) => day}
        foot={sum}
      />
    </>
  );
}

const columns = (decimals: number): Cell<TenantDay>[] => [
  { id: "day", title: "Day (UTC)", cell: ({ day }) => day || "All days" },
  { id: "paid", title: "Paid", number: true, cell: ({ cost }) => <Cost amount={cost} decimals={decimals} /> },
  {
    id: "sync",
    title: "Synchronous",
    number: true,
    cell: ({ cost_sync }) => <Cost amount={cost_sync} decimals={decimals} />,
  },
  {
    id: "saved",
    title: "Saved",
    number: true,
    cell: ({ cost, cost_sync }) => <Cost amount={subtractDollars(cost_sync, cost)} decimals={decimals} />,
  },
];

/** The last 31 days, those without anything too. */
function barsOf(days: readonly TenantDay[], decimals: number) {
  const of = new Map(days.map((day) => [day.day, day]));
  // The server's clock may be of the next day already.
  const last = Math.max(Date.now(), ...[...of.keys()].map((day) => Date.parse(day)));
  return Array.from({ length: DAYS }, (_, n) => {
    const day = new Date(last - (DAYS - 1 - n) * DAY_MS).toISOString().slice(0, 10);
    const { cost, cost_sync } = of.get(day) ?? { cost: "0", cost_sync: "0" };
    const saved = subtractDollars(cost_sync, cost);
    return {
      key: day,
      label: dayWord.format(Date.parse(day)),
      // Where it cost more than synchronously, the bar has no second part; its words say so.
      values: { paid: dollarsForScale(cost), saved: Math.max(0, dollarsForScale(saved)) },
      words: { paid: money(cost, decimals), saved: money(saved, decimals) },
    };
  });
}
