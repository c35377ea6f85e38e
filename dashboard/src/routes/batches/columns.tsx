import type { Batch } from "../../api/batches";
import { bytes, count } from "../../lib/number";
import { percent } from "../../lib/rate";
import { BatchLane } from "../../parts/BatchLane";
import { Flash } from "../../ui/Flash";
import { StateLabel } from "../../ui/Glyph";
import type { Column } from "../../ui/VirtualTable";
import { When } from "../../ui/When";
import { closedWhy, closedWord } from "./words";

const none = <span className="text-ink3">–</span>;

export const COLUMNS: readonly Column<Batch>[] = [
  {
    id: "state",
    title: "State",
    track: "minmax(6.5rem,0.9fr)",
    cell: ({ state }) => (
      <Flash of={state}>
        <StateLabel state={state} />
      </Flash>
    ),
  },
  { id: "model", title: "Model", track: "minmax(7rem,1fr)", from: 520, cell: ({ model }) => model },
  {
    id: "age",
    title: "Age against expiry",
    track: "minmax(6rem,1.6fr)",
    cell: ({ id }) => <BatchLane id={id} />,
  },
  {
    id: "items",
    title: "Jobs",
    track: "3.5rem",
    end: true,
    cell: ({ items }) => count(items),
  },
  {
    id: "bytes",
    title: "Size",
    track: "4.5rem",
    end: true,
    from: 760,
    cell: (batch) => bytes(batch.bytes),
  },
  {
    id: "closed",
    title: "Closed because",
    track: "minmax(6rem,0.8fr)",
    from: 900,
    cell: ({ close_reason: reason }) => <span title={closedWhy(reason)}>{closedWord(reason)}</span>,
  },
  {
    id: "cache",
    title: "Cache hits",
    track: "6rem",
    end: true,
    from: 1020,
    cell: (batch) => <Hits batch={batch} />,
  },
  {
    id: "counts",
    title: "Not answered",
    track: "5.5rem",
    end: true,
    from: 680,
    cell: ({ counts }) => {
      if (!counts) return none;
      const bad = counts.errored + counts.canceled + counts.expired;
      return bad > 0 ? <span className="text-bad">{count(bad)}</span> : <span>{count(bad)}</span>;
    },
  },
  {
    id: "planned",
    title: "Planned",
    track: "4.5rem",
    end: true,
    from: 440,
    cell: (batch) => <When at={batch.planned_at} />,
  },
];

/** What was expected, and what came of it. Nothing where nothing was marked. */
function Hits({ batch: { cache } }: { batch: Batch }) {
  if (!cache || cache.mark === "none") return none;
  const expected = percent(cache.predicted_hit_rate);
  if (cache.real_hit_rate === null)
    return (
      <span className="text-ink3" title="Expected; the real rate is known when all results are stored">
        {expected} expected
      </span>
    );
  return <span title={`Expected: ${expected}`}>{percent(cache.real_hit_rate)}</span>;
}
