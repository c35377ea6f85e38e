import { stack } from "d3-shape";
import { AxisX, GridY, useSize } from "./axis";
import { Frame } from "./Frame";
import { band, linear, roundTicks } from "./scale";

export type Part = { key: string; name: string; tone: keyof typeof TONES };
export type Bar = {
  key: string;
  label: string;
  values: Readonly<Record<string, number>>;
  /** What a value is called where it is not `format`'s: an exact amount. */
  words?: Readonly<Record<string, string>>;
};

/** One hue in steps, and red for failure. */
const TONES = {
  tide: "fill-tide",
  soft: "fill-tide-soft",
  wait: "fill-wait",
  bad: "fill-bad",
  gain: "fill-gain",
  lamp: "fill-lamp",
} as const;

const SWATCHES = {
  tide: "bg-tide",
  soft: "bg-tide-soft",
  wait: "bg-wait",
  bad: "bg-bad",
  gain: "bg-gain",
  lamp: "bg-lamp",
} as const;

/** Stacked bars, one for each day (or minute). The parts' names and order stand above them. */
export function DayBars({
  label,
  parts,
  bars,
  format,
  height = 180,
  onPick,
}: {
  label: string;
  parts: readonly Part[];
  bars: readonly Bar[];
  format: (value: number) => string;
  height?: number;
  /** A click on a bar. The same must be reachable from the table beside the chart. */
  onPick?: (key: string) => void;
}) {
  const [ref, { width }] = useSize<HTMLDivElement>(height);
  const layers = stack<Bar>()
    .keys(parts.map(({ key }) => key))
    .value((bar, key) => bar.values[key] ?? 0)(bars as Bar[]);
  const most = Math.max(1e-12, ...layers.flatMap((layer) => layer.map(([, top]) => top)));
  const bottom = height - 20;
  // At the right stand the axis's words: no bar runs beneath them.
  const plot = Math.max(0, width - 56);
  const places = band(bars.length, [0, plot], bars.length > 60 ? 0.1 : 0.25);
  const ticks = roundTicks(most);
  const y = linear([0, ticks.at(-1) ?? 1], [bottom, 12]);

  return (
    <Frame
      label={label}
      head={["", ...parts.map(({ name }) => name)]}
      rows={bars.map((bar) => [
        bar.label,
        ...parts.map(({ key }) => bar.words?.[key] ?? format(bar.values[key] ?? 0)),
      ])}
    >
      {parts.length > 1 && (
        <ul className="mb-2 flex flex-wrap gap-x-4 gap-y-1 text-ink2 text-meta" aria-hidden="true">
          {parts.map(({ key, name, tone }) => (
            <li key={key} className="flex items-center gap-1.5">
              <span className={`size-2 rounded-sm ${SWATCHES[tone]}`} />
              {name}
            </li>
          ))}
        </ul>
      )}
      <div ref={ref} style={{ height }}>
        {width > 0 && (
          <svg width={width} height={height} aria-hidden="true">
            <GridY ticks={ticks} y={y} width={width} format={format} />
            {layers.map((layer, nth) => (
              <g key={layer.key} className={TONES[parts[nth]?.tone ?? "tide"]}>
                {layer.map(([from, to], n) => {
                  const bar = bars[n];
                  if (!bar || to <= from) return null;
                  return (
                    <rect
                      key={bar.key}
                      x={places.at(n)}
                      width={Math.max(1, places.width)}
                      y={y(to)}
                      height={Math.max(0.5, y(from) - y(to))}
                    >
                      <title>{`${bar.label}: ${parts[nth]?.name} ${bar.words?.[layer.key] ?? format(to - from)}`}</title>
                    </rect>
                  );
                })}
              </g>
            ))}
            {onPick &&
              bars.map((bar, n) => (
                // biome-ignore lint/a11y/noStaticElementInteractions: a shortcut for the pointer; the table has the same links
                <rect
                  key={bar.key}
                  x={places.at(n)}
                  width={places.step}
                  height={bottom}
                  className="cursor-pointer fill-transparent"
                  onClick={() => onPick(bar.key)}
                >
                  <title>{bar.label}</title>
                </rect>
              ))}
            <AxisX labels={bars.map(({ label: word }) => word)} width={plot} y={height - 4} />
          </svg>
        )}
      </div>
    </Frame>
  );
}
