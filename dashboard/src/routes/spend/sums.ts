// From the rows of `GET /v1/usage` to what the chart and the tables show: both from the same list.

import { addTotals, type UsagePart, type UsageReport, type UsageTotal, unpricedOnly } from "../../api/usage";
import type { Bar, Part } from "../../charts/DayBars";
import { compareDollars, decimalsFor, dollarsForScale, money } from "../../lib/money";

const DAY = 24 * 3600_000;

/** Of one day, or of one value of what is split by, or both. */
export type Line = { day: string | undefined; value: string | undefined; total: UsageTotal };

/** What a missing value means. */
const NONE: Record<UsagePart, string> = {
  model: "no model",
  type: "own params",
  user: "no user",
  lane: "no lane",
};

export const linesOf = (report: UsageReport, part: UsagePart | undefined): Line[] =>
  report.rows.map((row) => ({
    day: row.day ?? undefined,
    value: part && (row[part] ?? NONE[part]),
    total: row.total,
  }));

/** Summed over all days; who cost most stands first. */
export function byValue(lines: readonly Line[]): Line[] {
  const sums = new Map<string, UsageTotal>();
  for (const { value = "", total } of lines) {
    const before = sums.get(value);
    sums.set(value, before ? addTotals(before, total) : total);
  }
  return [...sums]
    .map(([value, total]) => ({ day: undefined, value, total }))
    .sort((a, b) => compareDollars(b.total.cost, a.total.cost) || b.total.attempts - a.total.attempts);
}

/** Every day of the span, also those without anything. */
export function daysOf({ from, to }: { from: string; to: string }): string[] {
  const days: string[] = [];
  for (let at = Date.parse(from); at <= Date.parse(to) && days.length < 4000; at += DAY)
    days.push(new Date(at).toISOString().slice(0, 10));
  return days;
}

const TONES = ["tide", "soft", "lamp", "gain"] as const;
const OTHERS = "\u0000others";

/** What was paid each day, split by value: the four that cost most, and all others together. */
function splitBars(report: UsageReport, lines: readonly Line[], decimals: number) {
  const values = byValue(lines).map(({ value = "" }) => value);
  const named = values.length > TONES.length + 1 ? values.slice(0, TONES.length) : values;
  const parts: Part[] = named.map((value, nth) => ({ key: value, name: value, tone: TONES[nth] ?? "wait" }));
  if (named.length < values.length)
    parts.push({ key: OTHERS, name: `${values.length - named.length} others`, tone: "wait" });
  const sums = new Map<string, Map<string, UsageTotal>>();
  for (const { day = "", value = "", total } of lines) {
    const key = named.includes(value) ? value : OTHERS;
    const of = sums.get(day) ?? new Map<string, UsageTotal>();
    const before = of.get(key);
    of.set(key, before ? addTotals(before, total) : total);
    sums.set(day, of);
  }
  const bars = daysOf(report).map((day) => {
    const of = sums.get(day);
    const paid = (key: string) => {
      const total = of?.get(key);
      return total ? priced(total, total.cost) : "0";
    };
    return bar(day, Object.fromEntries(parts.map(({ key }) => [key, paid(key)])), decimals);
  });
  return { parts, bars };
}

const SAVINGS: readonly (Part & { of: (total: UsageTotal) => string })[] = [
  { key: "paid", name: "Paid", tone: "tide", of: (total) => total.cost },
  { key: "batch", name: "Saved by batches", tone: "soft", of: (total) => total.saved_batch ?? "0" },
  { key: "cache", name: "Saved by caches", tone: "gain", of: (total) => total.saved_cache ?? "0" },
  { key: "reuse", name: "Saved by reuse", tone: "lamp", of: (total) => total.saved_reuse ?? "0" },
];

/** What was paid each day, and on top of it what was not: together the synchronous price. */
function savingBars(report: UsageReport, lines: readonly Line[], decimals: number) {
  const days = new Map(lines.map(({ day, total }) => [day, total]));
  const parts = SAVINGS.filter(
    ({ key, of }) => key === "paid" || lines.some(({ total }) => compareDollars(of(total), "0") !== 0),
  );
  const bars = daysOf(report).map((day) => {
    const total = days.get(day);
    const amounts = parts.map(({ key, of }) => [key, total ? priced(total, of(total)) : "0"]);
    return bar(day, Object.fromEntries(amounts), decimals);
  });
  return { parts, bars };
}

const dayWord = new Intl.DateTimeFormat("en", { day: "numeric", month: "short", timeZone: "UTC" });

/** A cache that cost more than it saved has no length: its words say so. */
const bar = (day: string, amounts: Record<string, string | null>, decimals: number): Bar => ({
  key: day,
  label: dayWord.format(Date.parse(day)),
  values: Object.fromEntries(
    Object.entries(amounts).map(([key, amount]) => [key, Math.max(0, dollarsForScale(amount ?? "0"))]),
  ),
  words: Object.fromEntries(Object.entries(amounts).map(([key, amount]) => [key, money(amount, decimals)])),
});

export const chartOf = (
  report: UsageReport,
  lines: readonly Line[],
  part: UsagePart | undefined,
  decimals: number,
) => (part ? splitBars : savingBars)(report, lines, decimals);

/** An amount, unless no price is known for any of it. */
export const priced = (total: UsageTotal, amount: string | undefined): string | null =>
  unpricedOnly(total) ? null : (amount ?? null);

export const decimalsOf = (lines: readonly Line[]): number =>
  decimalsFor(lines.flatMap(({ total }) => [total.cost, total.cost_sync]));
