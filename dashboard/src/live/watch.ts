// Which jobs are on the screen: what each part of the page shows, together, said once it has settled.

import { MAX_WATCHED } from "./protocol";

const SETTLED_MS = 150;

export function watchList(say: (jobs: string[]) => void) {
  const parts = new Map<symbol, readonly string[]>();
  let said = "";
  let timer: ReturnType<typeof setTimeout> | undefined;

  function now() {
    clearTimeout(timer);
    timer = undefined;
    // The part that came last is what the reader looks at: an open panel before the list behind it.
    const jobs = [...new Set([...parts.values()].reverse().flat())].slice(0, MAX_WATCHED);
    if (jobs.join() === said) return;
    said = jobs.join();
    say(jobs);
  }

  return {
    /** Instead of what this part showed before. An empty list ends it. */
    set(part: symbol, ids: readonly string[]) {
      if (ids.length > 0) parts.set(part, ids);
      else parts.delete(part);
      timer ??= setTimeout(now, SETTLED_MS);
    },
    /** A new connection knows of none. */
    again() {
      said = "";
      now();
    },
  };
}
