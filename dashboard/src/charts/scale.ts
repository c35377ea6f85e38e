// The three scales that the charts need. d3-scale has them too, and colours, dates and formats besides,
// which no import leaves out: 13 KB of the first route's budget.

export type Scale = (value: number) => number;

/** Straight from one span to the other. */
export function linear([d0, d1]: readonly [number, number], [r0, r1]: readonly [number, number]): Scale {
  const size = d1 - d0 || 1;
  return (value) => r0 + ((value - d0) / size) * (r1 - r0);
}

/** By magnitude, for waiting times; what lies outside stands at the edge. The domain must be above 0. */
export function log([d0, d1]: readonly [number, number], range: readonly [number, number]): Scale {
  const line = linear([Math.log(d0), Math.log(d1)], range);
  return (value) => line(Math.log(Math.min(Math.max(value, d0), d1)));
}

/** Equal places beside each other, with `gap` of each left free. */
export function band(count: number, [r0, r1]: readonly [number, number], gap: number) {
  const step = count > 0 ? (r1 - r0) / (count - gap) : 0;
  return { step, width: step * (1 - gap), at: (nth: number) => r0 + nth * step };
}

/** From 0 to a round number not below `most`, in at most `count` round steps. */
export function roundTicks(most: number, count = 4): number[] {
  const raw = most / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = ([1, 2, 2.5, 5, 10].find((factor) => factor * power >= raw * 0.999_999) ?? 10) * power;
  const steps = Math.ceil((most / step) * 0.999_999);
  // Rounded at the step's own precision: 3 * 0.1 is no round number.
  const digits = Math.max(0, 1 - Math.floor(Math.log10(step)));
  return Array.from({ length: steps }, (_, nth) => Number(((nth + 1) * step).toFixed(Math.min(digits, 100))));
}
