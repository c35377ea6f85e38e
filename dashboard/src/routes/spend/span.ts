import { USAGE_PARTS, type UsagePart } from "../../api/usage";
import type { Search } from "../../lib/url";

const DAY = 24 * 3600_000;
export const SPANS = ["7", "30", "90"] as const;

export const isDay = (text: string | undefined): text is string =>
  text !== undefined && /^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(text));

const day = (at: number) => new Date(at).toISOString().slice(0, 10);

/** From the address: own days, or the last so many. Days are UTC's, as the API counts them. */
export function readSpan(url: Search, now: number) {
  const part: UsagePart | undefined = USAGE_PARTS.find((known) => known === url.by);
  if (isDay(url.from) && isDay(url.to) && url.from <= url.to)
    return { from: url.from, to: url.to, part, days: undefined };
  const days = SPANS.find((known) => known === url.days) ?? "30";
  return { from: day(now - (Number(days) - 1) * DAY), to: day(now), part, days };
}
