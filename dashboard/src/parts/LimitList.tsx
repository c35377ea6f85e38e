import type { LimitName, TenantLimit } from "../api/limits";
import { bytes, count } from "../lib/number";
import { Fact, Facts } from "../ui/Panel";

/** Each in words, in the order in which they are shown. */
export const LIMITS: readonly (readonly [LimitName, string])[] = [
  ["requests_per_second", "Requests a second"],
  ["request_burst", "Requests at once after a rest"],
  ["jobs_per_second", "Jobs a second"],
  ["job_burst", "Jobs at once after a rest"],
  ["keys_per_minute", "New API keys a minute"],
  ["queued_jobs", "Jobs that wait"],
  ["queued_bytes", "Bytes that wait"],
  ["live_connections", "Live connections"],
];

/** A value of that limit. */
export const limitWords = (name: string, value: number): string =>
  value === 0 ? "no limit" : name === "queued_bytes" ? bytes(value) : count(value);

/** What is used, and what may be. */
export function LimitList({ limits }: { limits: readonly TenantLimit[] }) {
  return (
    <Facts>
      {LIMITS.map(([name, words]) => {
        const limit = limits.find((one) => one.name === name);
        if (!limit) return null;
        const used =
          limit.used !== null && limit.used !== undefined
            ? `${name === "queued_bytes" ? bytes(limit.used) : count(limit.used)} of `
            : "";
        return (
          <Fact key={name} name={words}>
            {used}
            {limitWords(name, limit.value)}
            {limit.own && <span className="text-ink3">, elsewhere {limitWords(name, limit.default)}</span>}
          </Fact>
        );
      })}
    </Facts>
  );
}
