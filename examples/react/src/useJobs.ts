// One user's jobs, live from offpeak: docs/live.md is what it relies on.
import { useMemo, useSyncExternalStore } from "react";
import { client, type GetTicket } from "./client";
import { apply, backoff, type Jobs, type Timer, unsure } from "./jobs";
import { dial, type Frame, type Line } from "./socket";
import { onReturn, store } from "./store";

/** The user's jobs, newest first, and `read(id)`, which puts its result into a job. Another user, or another function `getTicket`, begins anew. */
export function useJobs(user: string, getTicket: GetTicket) {
  const live = useMemo(() => liveJobs(user, getTicket), [user, getTicket]);
  return { ...useSyncExternalStore(live.subscribe, live.current), read: live.read };
}

/** What the hook subscribes to: connected while somebody listens. */
export function liveJobs(user: string, getTicket: GetTicket) {
  const offpeak = client(getTicket);
  const { current, set, subscribe } = store<Jobs>({ jobs: [], loaded: false, live: false, since: Date.now() }, () => {
    connect();
    const forget = onReturn(() => retry && connect());
    return () => {
      forget();
      hangUp();
      set({ live: false, since: Date.now() });
    };
  });
  let cursor: string | undefined; // where the next connection goes on
  let listed = false; // the list was read: what comes after `cursor` keeps it right
  let [attempt, pause] = [0, 0];
  let [line, retry]: [Line?, Timer?] = [];

  function hangUp() {
    line?.hangUp();
    clearTimeout(retry);
    retry = undefined;
  }

  function connect() {
    hangUp();
    line = dial(offpeak, () => ({ t: "hello", mode: "view", topics: [`user:${user}`], cursor }), take, (problem) => {
      set({ live: false, since: current().live ? Date.now() : current().since, problem });
      retry = setTimeout(connect, pause + backoff(attempt++));
      pause = 0;
    });
  }

  function take({ t, jobs, ...frame }: Frame) {
    [attempt, cursor] = [0, frame.cursor ?? cursor];
    if (t === "resync") set({ jobs: unsure(current().jobs) });
    if (t === "rows") set({ jobs: apply(current().jobs, jobs ?? []) });
    if (t === "bye") pause = frame.retry_ms ?? 0;
    if (line && (t === "resync" || (t === "hello" && !listed))) list(line);
    else if (t === "hello") set({ live: true, problem: undefined });
  }

  function list({ signal, end }: Line) {
    listed = false;
    offpeak.list(signal).then(
      (rows) => {
        if (signal.aborted) return;
        listed = true;
        const jobs = apply(current().jobs, rows).filter((job) => job.rev >= 0);
        set({ jobs, loaded: true, live: true, problem: undefined });
      },
      (error: Error) => end(error.message),
    );
  }

  async function read(id: string) {
    const result = await offpeak.get(`/v1/jobs/${id}/result`).catch((error) => ({ problem: error.message }));
    set({ jobs: current().jobs.map((job) => (job.id === id ? { ...job, result } : job)) });
  }

  return { current, subscribe, read };
}
