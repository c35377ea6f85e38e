import type { Overview } from "../../api/overview";
import { Percentiles } from "../../charts/Percentiles";
import { plural } from "../../lib/number";
import { Block } from "./Block";

const name = (type: string | null) => type ?? "own params";

export function TimeToResult({ types }: { types: Overview["time_to_result"] }) {
  const known = types.flatMap(({ type, results, p50_seconds: p50, p95_seconds: p95 }) =>
    p50 === null || p95 === null
      ? []
      : [{ key: type ?? "", name: name(type), p50: p50 * 1000, p95: p95 * 1000, n: results }],
  );
  const few = types.filter(({ p50_seconds, p95_seconds }) => p50_seconds === null || p95_seconds === null);
  return (
    <Block title="Time to result" aside="last 7 days · dot p50, bar to p95 · limit 24 h">
      {known.length > 0 && <Percentiles label="Time from submit to result, by job type" spreads={known} />}
      {types.length === 0 && <p className="text-ink2">No result in the last seven days.</p>}
      {few.length > 0 && (
        <p className="mt-2 text-ink2">
          Told from 20 results on:{" "}
          {few.map(({ type, results }) => `${name(type)} has ${plural(results, "result")}`).join(", ")}.
        </p>
      )}
    </Block>
  );
}
