// Times for a person: relative on rows, absolute with its zone on hover and in detail.

import { useSyncExternalStore } from "react";
import { store } from "./store";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

export const ms = (iso: string): number => Date.parse(iso);

/** `850 ms`, `4.2 s`, `4 m 11 s`, `2 h 5 m`, `3 d 4 h`: two units at most. */
export function duration(length: number): string {
  const size = Math.max(0, length);
  if (size < SECOND) return `${Math.round(size)} ms`;
  if (size < 10 * SECOND) return `${(Math.floor(size / 100) / 10).toFixed(1)} s`;
  if (size < MINUTE) return `${Math.floor(size / SECOND)} s`;
  const [unit, big, part, small]: [number, string, number, string] =
    size < HOUR ? [MINUTE, "m", SECOND, "s"] : size < DAY ? [HOUR, "h", MINUTE, "m"] : [DAY, "d", HOUR, "h"];
  const rest = Math.floor((size % unit) / part);
  return `${Math.floor(size / unit)} ${big}${rest > 0 ? ` ${rest} ${small}` : ""}`;
}

/** `now`, `12 s`, `4 m`, `3 h`, `2 d`: one unit, for rows. */
export function short(length: number): string {
  const size = Math.abs(length);
  if (size < MINUTE) return `${Math.floor(size / SECOND)} s`;
  if (size < HOUR) return `${Math.floor(size / MINUTE)} m`;
  if (size < DAY) return `${Math.floor(size / HOUR)} h`;
  return `${Math.floor(size / DAY)} d`;
}

/** `4 m ago`, `in 4 m`, `now`. */
export function relative(iso: string, now: number): string {
  const since = now - ms(iso);
  if (Math.abs(since) < SECOND) return "now";
  return since < 0 ? `in ${short(since)}` : `${short(since)} ago`;
}

const full = new Intl.DateTimeFormat(undefined, {
  year: "numeric",
  month: "short",
  day: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
  timeZoneName: "short",
});
const hours = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

/** In the reader's zone, which it names. */
export const absolute = (iso: string): string => full.format(ms(iso));

/** `14:03`, in the reader's zone. */
export const clockTime = (at: number): string => hours.format(at);

/** One clock for the page: every relative time changes in the same frame, and only while one is shown. */
const clock = store({ now: Date.now() }, () => {
  clock.set({ now: Date.now() });
  const ticking = setInterval(() => clock.set({ now: Date.now() }), SECOND);
  return () => clearInterval(ticking);
});

/** The time now, anew each second. */
export const useNow = (): number => useSyncExternalStore(clock.subscribe, () => clock.current().now);

/** `4 m ago`: who shows it is rendered anew only when the words change. */
export const useRelative = (iso: string): string =>
  useSyncExternalStore(clock.subscribe, () => relative(iso, clock.current().now));
