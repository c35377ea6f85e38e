import { area, line } from "d3-shape";
import { useId } from "react";
import { AxisX, GridY, useSize } from "./axis";
import { Frame } from "./Frame";
import { linear, roundTicks } from "./scale";

export type Point = { at: number; value: number };
export type Series = {
  name: string;
  points: readonly Point[];
  /** A limit or a price that was not paid is dotted. */
  kind: "area" | "line" | "dotted";
  tone: "tide" | "gain" | "bad" | "ink";
};

const STROKE = { tide: "stroke-tide", gain: "stroke-gain", bad: "stroke-bad", ink: "stroke-ink3" } as const;
const FILL = { tide: "fill-tide-soft", gain: "fill-gain", bad: "fill-bad", ink: "fill-ink3" } as const;

/** Values over time, each line named at its end. Points must be in order and are joined straight: nothing is smoothed. */
export function TimeLine({
  label,
  series,
  format,
  formatAt,
  height = 160,
}: {
  label: string;
  series: readonly Series[];
  format: (value: number) => string;
  formatAt: (at: number) => string;
  height?: number;
}) {
  const [ref, { width }] = useSize<HTMLDivElement>(height);
  const clip = useId();
  const times = [...new Set(series.flatMap(({ points }) => points.map(({ at }) => at)))].sort(
    (a, b) => a - b,
  );
  const most = Math.max(1e-12, ...series.flatMap(({ points }) => points.map(({ value }) => value)));
  const plot = { width: Math.max(0, width - 96), height: height - 20 };
  const x = linear([times[0] ?? 0, times.at(-1) ?? 1], [0, plot.width]);
  const ticks = roundTicks(most);
  const y = linear([0, ticks.at(-1) ?? 1], [plot.height, 12]);

  return (
    <Frame
      label={label}
      head={["Time", ...series.map(({ name }) => name)]}
      rows={times.map((at) => [
        formatAt(at),
        ...series.map(({ points }) => {
          const point = points.find((other) => other.at === at);
          return point ? format(point.value) : "–";
        }),
      ])}
    >
      <div ref={ref} style={{ height }}>
        {width > 0 && (
          <svg width={width} height={height} aria-hidden="true">
            <clipPath id={clip}>
              <rect width={plot.width} height={plot.height + 1} />
            </clipPath>
            <GridY ticks={ticks} y={y} width={plot.width} format={format} />
            <g clipPath={`url(#${clip})`}>
              {series.map(({ name, points, kind, tone }) => (
                <g key={name}>
                  {kind === "area" && (
                    <path
                      className={`${FILL[tone]} opacity-40`}
                      d={
                        area<Point>(
                          (p) => x(p.at),
                          y(0),
                          (p) => y(p.value),
                        )(points as Point[]) ?? ""
                      }
                    />
                  )}
                  <path
                    className={STROKE[tone]}
                    fill="none"
                    strokeWidth={1.5}
                    strokeDasharray={kind === "dotted" ? "1.5 3" : undefined}
                    strokeLinecap="round"
                    d={
                      line<Point>(
                        (p) => x(p.at),
                        (p) => y(p.value),
                      )(points as Point[]) ?? ""
                    }
                  />
                </g>
              ))}
            </g>
            <EndLabels series={series} x={plot.width + 6} y={y} height={plot.height} />
            <AxisX labels={times.map(formatAt)} width={plot.width} y={height - 4} />
          </svg>
        )}
      </div>
    </Frame>
  );
}

/** The names at the lines' ends, moved apart where they would touch. */
function EndLabels(props: {
  series: readonly Series[];
  x: number;
  y: (value: number) => number;
  height: number;
}) {
  let above = Number.NEGATIVE_INFINITY;
  const placed = props.series
    .map(({ name, points, tone }) => ({ name, tone, at: props.y(points.at(-1)?.value ?? 0) }))
    .sort((a, b) => a.at - b.at)
    .map((end) => {
      above = Math.max(end.at, above + 14);
      return { ...end, at: Math.min(above, props.height + 4) };
    });
  return (
    <g className="text-axis">
      {placed.map(({ name, tone, at }) => (
        <text key={name} x={props.x} y={at + 3} className={tone === "tide" ? "fill-tide-ink" : FILL[tone]}>
          {name}
        </text>
      ))}
    </g>
  );
}
