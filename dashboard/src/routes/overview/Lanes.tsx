import { useInfiniteQuery, useQueryClient } from "@tanstack/react-query";
import { useCallback, useMemo, useSyncExternalStore } from "react";
import { batchesQuery, inFlight, lookForBatches } from "../../api/batches";
import type { Overview } from "../../api/overview";
import { count, plural } from "../../lib/number";
import { ms, relative, short, useNow } from "../../lib/time";
import { live } from "../../live/live";
import { useChanges } from "../../live/onCounts";
import { BatchLane } from "../../parts/BatchLane";
import { useBatchRow } from "../../parts/useBatchRow";
import { Glyph, stateWord } from "../../ui/Glyph";
import { Go } from "../../ui/Go";
import { ProblemNote } from "../../ui/ProblemNote";
import { SkeletonText } from "../../ui/Skeleton";
import { Block } from "./Block";
import { sum } from "./rates";

const SHOWN = 8;

export function Lanes({ overview }: { overview: Overview }) {
  const list = useInfiniteQuery(batchesQuery);
  const queries = useQueryClient();
  const look = useCallback(() => void lookForBatches(queries).catch(() => {}), [queries]);
  useChanges(look, list.isSuccess);
  const ids = useMemo(() => [...new Set(list.data?.pages.flatMap((page) => page.ids))], [list.data]);
  // By their states, which come live; as text, so that it is the same until one changes.
  const flying = useSyncExternalStore(live.batches.subscribeAll, () =>
    ids
      .filter((id) => {
        const batch = live.batches.get(id);
        return batch !== undefined && inFlight(batch.state);
      })
      .join(","),
  );
  const open = flying ? flying.split(",") : [];
  const usual = open.some((id) => live.batches.get(id)?.usual);
  const all = Math.max(open.length, sum(overview.batches.map(({ batches }) => batches)));
  const more = all - Math.min(open.length, SHOWN);
  return (
    <Block
      title="Batches in flight"
      aside={
        open.length > 0 &&
        (usual ? "Box: half to 90 % of like batches end there · dotted: expiry" : "Dotted: expiry")
      }
    >
      {list.isPending ? (
        <SkeletonText lines={3} label="Loading batches" />
      ) : list.isError && !list.data ? (
        <ProblemNote error={list.error} onRetry={() => void list.refetch()} />
      ) : open.length === 0 ? (
        <p className="text-ink2">
          None now. <Go to="/batches">See all batches</Go>
        </p>
      ) : (
        <ul className="border-line2 border-t">
          {open.slice(0, SHOWN).map((id) => (
            <Row key={id} id={id} />
          ))}
        </ul>
      )}
      {open.length > 0 && more > 0 && (
        <p className="mt-2">
          <Go to="/batches">{count(more)} more</Go>
        </p>
      )}
    </Block>
  );
}

function Row({ id }: { id: string }) {
  const batch = useBatchRow(id);
  const now = useNow();
  if (!batch) return null;
  return (
    <li className="border-line2 border-b">
      <Go
        to="/batches"
        search={{ id }}
        plain
        className="grid grid-cols-[minmax(0,1fr)_auto] items-center gap-x-4 gap-y-1 py-2 hover:bg-sunk md:grid-cols-[minmax(0,13rem)_minmax(0,1fr)_6.5rem]"
      >
        <span className="flex min-w-0 items-center gap-2">
          <Glyph state={batch.state} />
          <span className="truncate">
            {batch.model} <span className="text-ink3">· {plural(batch.items, "job")}</span>
          </span>
        </span>
        <span className="order-last col-span-2 min-w-0 md:order-none md:col-span-1">
          <BatchLane id={id} />
        </span>
        <span className="text-right text-ink2 text-meta">
          {batch.created_at && batch.expires_at ? (
            <span title={`Expires ${relative(batch.expires_at, now)}`}>
              {short(now - ms(batch.created_at))} of {short(ms(batch.expires_at) - ms(batch.created_at))}
            </span>
          ) : (
            stateWord(batch.state)
          )}
        </span>
      </Go>
    </li>
  );
}
