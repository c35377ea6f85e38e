import { useEffect, useRef } from "react";
import { live } from "./live";

/** Calls when something more was billed, at most every `everyMs`: sums come from the server, so they are
 *  asked for again, but not for each event. */
export function useUsageChange(call: () => void, everyMs = 10_000): void {
  const latest = useRef(call);
  useEffect(() => {
    latest.current = call;
  });
  useEffect(() => {
    let before = live.counts.current().usage;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let last = 0;
    const forget = live.counts.subscribe(() => {
      const { usage } = live.counts.current();
      if (usage === before) return;
      before = usage;
      timer ??= setTimeout(
        () => {
          timer = undefined;
          last = Date.now();
          latest.current();
        },
        Math.max(0, last + everyMs - Date.now()),
      );
    });
    return () => {
      forget();
      clearTimeout(timer);
    };
  }, [everyMs]);
}
