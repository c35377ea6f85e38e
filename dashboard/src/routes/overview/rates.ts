import { count } from "../../lib/number";

export const sum = (numbers: readonly number[]): number => numbers.reduce((all, n) => all + n, 0);

const UNITS: readonly [number, string][] = [
  [60_000, "a minute"],
  [3_600_000, "an hour"],
  [86_400_000, "a day"],
];

/** `12 a minute`, `3.5 an hour`, `2 a day`: by the first unit in which it is at least one. */
export function perTime(n: number, length: number): string {
  if (n === 0) return "none";
  for (const [unit, word] of UNITS) {
    const rate = (n * unit) / length;
    if (rate >= 1) return `${rate >= 10 ? count(rate) : String(Math.round(rate * 10) / 10)} ${word}`;
  }
  return `${count(n)} in all`;
}
