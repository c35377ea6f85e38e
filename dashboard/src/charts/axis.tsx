import { useEffect, useRef, useState } from "react";
import { duration } from "../lib/time";

/** How wide a chart may be: it is drawn anew at each width, so that its letters never stretch. */
export function useSize<T extends Element>(
  height: number,
): [React.RefObject<T | null>, { width: number; height: number }] {
  const ref = useRef<T>(null);
  const [width, setWidth] = useState(0);
  useEffect(() => {
    if (!ref.current) return;
    const seen = new ResizeObserver(([entry]) => entry && setWidth(Math.round(entry.contentRect.width)));
    seen.observe(ref.current);
    return () => seen.disconnect();
  }, []);
  return [ref, { width, height }];
}

/** Waiting times are told on a log axis: these are its marks. */
export const TIME_TICKS = [1, 10, 60, 600, 3600, 4 * 3600, 24 * 3600].map((seconds) => seconds * 1000);

export const tickWord = (length: number): string => duration(length).replace(/ 0 .$/, "");

/** Horizontal lines with their words, at most four. */
export function GridY({
  ticks,
  y,
  width,
  format,
}: {
  ticks: readonly number[];
  y: (value: number) => number;
  width: number;
  format: (value: number) => string;
}) {
  return (
    <g>
      {ticks.slice(0, 4).map((tick) => (
        <g key={tick} transform={`translate(0,${Math.round(y(tick)) + 0.5})`}>
          <line x2={width} className="stroke-line2" />
          <text x={width} dy={-3} textAnchor="end" className="fill-ink3 text-axis">
            {format(tick)}
          </text>
        </g>
      ))}
    </g>
  );
}

/** The words under a time axis: first, middle and last, so that they never meet. */
export function AxisX({ labels, width, y }: { labels: readonly string[]; width: number; y: number }) {
  const [first, last] = [labels[0], labels.at(-1)];
  const middle = labels.length > 4 ? labels[Math.floor(labels.length / 2)] : undefined;
  return (
    <g className="fill-ink3 text-axis">
      <text x={0} y={y}>
        {first}
      </text>
      {middle && (
        <text x={width / 2} y={y} textAnchor="middle">
          {middle}
        </text>
      )}
      {labels.length > 1 && (
        <text x={width} y={y} textAnchor="end">
          {last}
        </text>
      )}
    </g>
  );
}
