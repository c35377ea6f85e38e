import { duration } from "../lib/time";
import { TIME_TICKS, tickWord, useSize } from "./axis";
import { Frame } from "./Frame";
import { log } from "./scale";

export type Spread = { key: string; name: string; p50: number; p95: number; n: number };

const ROW = 24;
const FIRST = 1000;

/** Time to result: a dot at p50, a bar to p95, on a log axis that ends at the limit. */
export function Percentiles({
  label,
  spreads,
  limit = 24 * 3_600_000,
}: {
  label: string;
  spreads: readonly Spread[];
  limit?: number;
}) {
  const height = spreads.length * ROW + 20;
  const [ref, { width }] = useSize<HTMLDivElement>(height);
  const left = Math.min(160, width * 0.35);
  const at = log([FIRST, limit], [left, Math.max(left, width - 1)]);
  return (
    <Frame
      label={label}
      head={["", "p50", "p95", "Jobs"]}
      rows={spreads.map(({ name, p50, p95, n }) => [name, duration(p50), duration(p95), String(n)])}
    >
      <div ref={ref} style={{ height }}>
        {width > 0 && (
          <svg width={width} height={height} aria-hidden="true">
            {TIME_TICKS.filter((tick) => tick <= limit).map((tick) => (
              <g key={tick} transform={`translate(${Math.round(at(tick)) - 0.5},0)`}>
                <line
                  y2={height - 16}
                  className={tick === limit ? "stroke-ink3" : "stroke-line2"}
                  strokeDasharray={tick === limit ? "1.5 2.5" : undefined}
                />
                <text
                  y={height - 4}
                  textAnchor={tick === limit ? "end" : "middle"}
                  className="fill-ink3 text-axis"
                >
                  {tickWord(tick)}
                </text>
              </g>
            ))}
            {spreads.map(({ key, name, p50, p95, n }, row) => (
              <g key={key} transform={`translate(0,${row * ROW + ROW / 2})`}>
                <title>{`${name}: half within ${duration(p50)}, 95 % within ${duration(p95)}, of ${n}`}</title>
                <text dy={4} className="fill-ink text-meta">
                  {name.length > left / 6.5 ? `${name.slice(0, Math.floor(left / 6.5) - 1)}…` : name}
                </text>
                <rect
                  x={at(p50)}
                  width={Math.max(1, at(p95) - at(p50))}
                  y={-2}
                  height={4}
                  rx={2}
                  className="fill-tide-soft"
                />
                <circle cx={at(p50)} r={4} className="fill-tide" />
                <line x1={at(p95)} x2={at(p95)} y1={-5} y2={5} className="stroke-tide" strokeWidth={1.5} />
              </g>
            ))}
          </svg>
        )}
      </div>
    </Frame>
  );
}
