import { useSize } from "./axis";
import { log } from "./scale";

const FIRST = 60_000; // what is quicker than a minute stands at the left end

/**
 * One thing's age against how long such things usually take: a thin bar to now, a pale box from p50 to
 * p90, a dotted line at the limit. On a log axis. Without a band there is no box: nothing is guessed.
 */
export function Lane({
  label,
  age,
  band,
  limit,
  done = false,
}: {
  /** In words, with the same numbers. */
  label: string;
  age: number;
  band?: { p50: number; p90: number };
  limit: number;
  done?: boolean;
}) {
  const [ref, { width, height }] = useSize<HTMLDivElement>(16);
  const at = log([FIRST, Math.max(limit, FIRST * 2)], [0, Math.max(0, width - 1)]);
  const late = !done && band !== undefined && age > band.p90;
  return (
    <div ref={ref} role="img" aria-label={label} title={label} style={{ height }}>
      {width > 0 && (
        <svg width={width} height={height} aria-hidden="true">
          <line x2={width} y1={8} y2={8} className="stroke-line2" />
          {band && (
            <rect
              x={at(band.p50)}
              width={Math.max(2, at(band.p90) - at(band.p50))}
              y={2}
              height={12}
              rx={2}
              className="fill-tide-wash stroke-tide-soft"
            />
          )}
          <rect
            width={Math.max(2, at(age))}
            y={6}
            height={4}
            rx={2}
            className={done ? "fill-gain" : late ? "fill-warn" : "fill-tide"}
          />
          {!done && (
            <line x1={at(age)} x2={at(age)} y1={2} y2={14} className="stroke-lamp" strokeWidth={1.5} />
          )}
          <line
            x1={width - 1}
            x2={width - 1}
            y1={1}
            y2={15}
            className="stroke-ink3"
            strokeDasharray="1.5 2.5"
            strokeLinecap="round"
          />
        </svg>
      )}
    </div>
  );
}
