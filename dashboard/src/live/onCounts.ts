import { useEffect, useRef } from "react";
import { live } from "./live";

const LOOK_EVERY_MS = 2000;

/** Calls when the tenant's counts have changed, at once and then at most every two seconds. */
export function onCounts(call: () => void, everyMs = LOOK_EVERY_MS): () => void {
  return changes(live.counts.subscribe, () => live.counts.current().jobs, call, everyMs);
}

/** The same for a change of any batch: a new one has no row that could be listened to. */
export function onBatches(call: () => void, everyMs = LOOK_EVERY_MS): () => void {
  return changes(live.batches.subscribeAll, live.batches.turn, call, everyMs);
}

/** The same for an operation that came further, or to its end: its row says no more than its state. */
export function onOperations(call: () => void, everyMs = LOOK_EVERY_MS): () => void {
  return changes(live.operations.subscribeAll, live.operations.turn, call, everyMs);
}

function changes(
  subscribe: (listener: () => void) => () => void,
  read: () => unknown,
  call: () => void,
  everyMs: number,
): () => void {
  let before = read();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let last = 0;
  const forget = subscribe(() => {
    const now = read();
    if (now === before) return;
    before = now;
    timer ??= setTimeout(
      () => {
        timer = undefined;
        last = Date.now();
        call();
      },
      Math.max(0, last + everyMs - Date.now()),
    );
  });
  return () => {
    forget();
    clearTimeout(timer);
  };
}

/** Calls while `on`, and once when that begins again: something may have come before. `call` must stay the same. */
export function useChanges(call: () => void, on: boolean, everyMs = LOOK_EVERY_MS): void {
  const began = useRef(false);
  useEffect(() => {
    if (!on) return;
    if (began.current) call();
    began.current = true;
    const ends = [onCounts(call, everyMs), onBatches(call, everyMs)];
    return () => {
      for (const end of ends) end();
    };
  }, [call, on, everyMs]);
}
