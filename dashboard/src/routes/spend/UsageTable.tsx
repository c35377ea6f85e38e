import type { UsagePart } from "../../api/usage";
import { count, plural } from "../../lib/number";
import { Cost } from "../../ui/Cost";
import { type Cell, Table } from "../../ui/Table";
import { type Line, priced } from "./sums";

const TITLES: Record<UsagePart, string> = { model: "Model", type: "Job type", user: "User", lane: "Lane" };

const amount = (
  id: string,
  title: string,
  of: (line: Line) => string | undefined,
  decimals: number,
): Cell<Line> => ({
  id,
  title,
  number: true,
  cell: (line) => <Cost amount={priced(line.total, of(line))} decimals={decimals} />,
});

/** The numbers of the chart, each with its tokens. */
export function UsageTable({
  label,
  lines,
  sum,
  part,
  decimals,
}: {
  label: string;
  lines: readonly Line[];
  sum?: Line;
  part: UsagePart | undefined;
  decimals: number;
}) {
  const days = lines.some(({ day }) => day !== undefined);
  const columns: Cell<Line>[] = [
    ...(days ? [{ id: "day", title: "Day (UTC)", cell: (line: Line) => line.day ?? "All days" }] : []),
    ...(part
      ? [{ id: "value", title: TITLES[part], cell: (line: Line) => line.value ?? (!days && "All") }]
      : []),
    {
      id: "attempts",
      title: "Attempts",
      number: true,
      cell: ({ total }) => (
        <>
          {total.unpriced ? (
            <span className="mr-1.5 text-ink3 text-meta">
              {plural(total.unpriced, "without price", "without price")}
            </span>
          ) : null}
          {count(total.attempts)}
        </>
      ),
    },
    {
      id: "input",
      title: "Input tokens",
      number: true,
      cell: ({ total }) => count(total.input_tokens + total.cache_write_tokens + total.cache_read_tokens),
    },
    { id: "output", title: "Output tokens", number: true, cell: ({ total }) => count(total.output_tokens) },
    amount("paid", "Paid", ({ total }) => total.cost, decimals),
    amount("sync", "Synchronous", ({ total }) => total.cost_sync, decimals),
    amount("batch", "Saved by batches", ({ total }) => total.saved_batch, decimals),
    amount("cache", "by caches", ({ total }) => total.saved_cache, decimals),
    amount("reuse", "by reuse", ({ total }) => total.saved_reuse, decimals),
  ];
  return (
    <Table
      label={label}
      columns={columns}
      rows={lines}
      keyOf={({ day, value }) => `${day} ${value}`}
      foot={sum}
    />
  );
}
