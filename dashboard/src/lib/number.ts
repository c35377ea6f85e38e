// Counts and sizes for a person. Money is elsewhere: src/lib/money.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const brief = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

/** `11,181`. */
export const count = (n: number): string => whole.format(n);

/** `51.9K`, for narrow places; the whole number stands in the title. */
export const compact = (n: number): string => (n < 10_000 ? whole.format(n) : brief.format(n));

/** `1 job`, `2 jobs`. */
export const plural = (n: number, one: string, many = `${one}s`): string =>
  `${count(n)} ${n === 1 ? one : many}`;

const UNITS = ["B", "kB", "MB", "GB", "TB"];

/** `812 B`, `1.2 MB`. */
export function bytes(n: number): string {
  let size = n;
  let unit = 0;
  while (size >= 999.5 && unit < UNITS.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${unit === 0 || size >= 100 ? Math.round(size) : size.toFixed(1)} ${UNITS[unit]}`;
}
