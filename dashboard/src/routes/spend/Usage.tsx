import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { MAX_ROWS, type UsageReport, type UsageTotal, unpricedOnly, usageQuery } from "../../api/usage";
import { DayBars } from "../../charts/DayBars";
import { decimalsFor, savedPercent, tickDollars } from "../../lib/money";
import { count, plural } from "../../lib/number";
import { useUsageChange } from "../../live/useUsageChange";
import { Cost } from "../../ui/Cost";
import { Empty } from "../../ui/Empty";
import { Section } from "../../ui/Panel";
import { ProblemNote } from "../../ui/ProblemNote";
import { SkeletonRows } from "../../ui/Skeleton";
import { When } from "../../ui/When";
import type { readSpan } from "./span";
import { byValue, chartOf, decimalsOf, linesOf } from "./sums";
import { UsageTable } from "./UsageTable";

type Span = ReturnType<typeof readSpan>;

export function Usage({ span }: { span: Span }) {
  const usage = useQuery(usageQuery(span));
  useUsageChange(() => void usage.refetch());
  if (usage.isPending) return <SkeletonRows label="Loading what was spent" />;
  if (!usage.data) return <ProblemNote error={usage.error} onRetry={() => void usage.refetch()} />;
  return (
    <>
      {usage.isError && <ProblemNote error={usage.error} onRetry={() => void usage.refetch()} />}
      {usage.data.rows.length === 0 ? (
        <NothingSpent report={usage.data} />
      ) : (
        <Report report={usage.data} span={span} />
      )}
    </>
  );
}

function NothingSpent({ report }: { report: UsageReport }) {
  return (
    <Empty title="Nothing was billed in these days">
      <p>
        From {report.from} to {report.to} no attempt has ended. What runs in batches is counted when its
        results are there. Choose other days, or submit a job.
      </p>
    </Empty>
  );
}

function Report({ report, span: { part } }: { report: UsageReport; span: Span }) {
  const lines = linesOf(report, part);
  const values = part ? byValue(lines) : [];
  const sum = { day: undefined, value: undefined, total: report.total };
  const decimals = decimalsOf(lines);
  const { parts, bars } = chartOf(report, lines, part, decimals);
  return (
    <div className="py-4">
      <Figures total={report.total} />
      <div className="mt-6">
        <DayBars
          label={`What was paid each day${part ? ` by ${part}` : ", and saved against the synchronous price"}, from ${report.from} to ${report.to}`}
          parts={parts}
          bars={bars}
          format={tickDollars}
        />
      </div>
      <p className="mt-2 text-ink3 text-meta">
        Days are UTC's. Read <When at={report.as_of} />.
      </p>
      {report.rows.length >= MAX_ROWS && (
        <p className="mt-2 text-warn">
          Only the newest {count(MAX_ROWS)} rows are here. The figures at the top count everything, and so
          does the CSV.
        </p>
      )}
      <div className="mt-6">
        {part && (
          <Section title={`All days, by ${part === "type" ? "job type" : part}`}>
            <UsageTable
              label={`All days by ${part}`}
              lines={values}
              sum={sum}
              part={part}
              decimals={decimals}
            />
          </Section>
        )}
        <Section title="By day">
          <UsageTable
            label="By day"
            lines={lines}
            sum={part ? undefined : sum}
            part={part}
            decimals={decimals}
          />
        </Section>
      </div>
    </div>
  );
}

function Figure({ name, children, note }: { name: string; children: ReactNode; note?: ReactNode }) {
  return (
    <div className="min-w-0">
      <dt className="text-ink3 text-meta">{name}</dt>
      <dd>
        <span className="block text-figure">{children}</span>
        {note && <span className="block text-ink2 text-meta">{note}</span>}
      </dd>
    </div>
  );
}

function Figures({ total }: { total: UsageTotal }) {
  const none = unpricedOnly(total);
  const decimals = decimalsFor([total.cost_sync]);
  const show = (amount: string | undefined) => <Cost amount={none ? null : amount} decimals={decimals} />;
  const percent = none ? null : savedPercent(total.cost, total.cost_sync);
  return (
    <>
      <dl className="grid grid-cols-2 gap-x-6 gap-y-4 lg:grid-cols-4 xl:grid-cols-6">
        <Figure name="Paid" note={plural(total.attempts, "attempt")}>
          {show(total.cost)}
        </Figure>
        <Figure name="Synchronous price" note="of the same tokens, without a cache">
          {show(total.cost_sync)}
        </Figure>
        <Figure name="Saved" note={percent !== null && `${percent} % of the synchronous price`}>
          <span className={percent !== null && percent > 0 ? "text-gain" : undefined}>
            {show(total.saved)}
          </span>
        </Figure>
        <Figure name="Saved by batches">{show(total.saved_batch)}</Figure>
        <Figure name="Saved by caches" note="reading them, less writing them">
          {show(total.saved_cache)}
        </Figure>
        <Figure name="Saved by reuse" note="of the answer to the same question">
          {show(total.saved_reuse)}
        </Figure>
      </dl>
      {total.unpriced ? (
        <p className="mt-4 text-warn">
          {plural(total.unpriced, "attempt has", "attempts have")} no known price. Tokens are counted, but no
          amount here holds them.
        </p>
      ) : null}
    </>
  );
}
