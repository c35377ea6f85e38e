import { useEffect, useRef, useSyncExternalStore } from "react";
import type { components } from "../api/schema";
import { type Connection, type LiveCounts, live } from "./live";

type Job = components["schemas"]["Job"];
type Batch = components["schemas"]["Batch"];

/** A job as it stands now; whoever shows it is rendered anew when this one changes, and for no other. */
export const useJob = (id: string): Job | undefined =>
  useSyncExternalStore(
    (listener) => live.jobs.subscribe(id, listener),
    () => live.jobs.get(id),
  );

/** The number of its last live row: another one means that something happened to it. */
export const useJobRev = (id: string): number =>
  useSyncExternalStore(
    (listener) => live.jobs.subscribe(id, listener),
    () => live.jobs.rev(id),
  );

export const useBatch = (id: string): Batch | undefined =>
  useSyncExternalStore(
    (listener) => live.batches.subscribe(id, listener),
    () => live.batches.get(id),
  );

export const useConnection = (): Connection =>
  useSyncExternalStore(live.connection.subscribe, live.connection.current);

/** One part of the counts, so that others do not render its reader. */
export const useCounts = <K extends keyof LiveCounts>(part: K): LiveCounts[K] =>
  useSyncExternalStore(live.counts.subscribe, () => live.counts.current()[part]);

/** Says that these jobs are on the screen. The list must be the same one until it changes. */
export function useWatch(ids: readonly string[]): void {
  const part = useRef<symbol>(undefined);
  part.current ??= Symbol("part of the page");
  useEffect(() => {
    const me = part.current;
    if (me) live.watch(me, ids);
  }, [ids]);
  useEffect(() => {
    const me = part.current;
    return () => {
      if (me) live.watch(me, []);
    };
  }, []);
}

export function useTopic(name: string | undefined): void {
  useEffect(() => (name ? live.topic(name) : undefined), [name]);
}

export const useBatchRev = (id: string): number =>
  useSyncExternalStore(
    (listener) => live.batches.subscribe(id, listener),
    () => live.batches.rev(id),
  );

/** Several topics; the same names are the same topics, whatever array they come in. */
export function useTopics(names: readonly string[]): void {
  const all = names.join("\n");
  useEffect(() => {
    const ends = all ? all.split("\n").map((name) => live.topic(name)) : [];
    return () => {
      for (const end of ends) end();
    };
  }, [all]);
}
