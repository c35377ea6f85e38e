// One user's jobs, live from offpeak: docs/live.md is what it relies on.
import { useState, useSyncExternalStore } from "react";
import { client, type GetTicket } from "./client";
import { apply, backoff, type Jobs, type Timer, unsure } from "./jobs";
import { onReturn, store } from "./store";

/** The user's jobs, newest first, and `read(id)`, which puts its result into a job. */
export function useJobs(user: string, getTicket: GetTicket) {
  const [live] = useState(() => liveJobs(user, getTicket));
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
  let [run, attempt, pause] = [0, 0, 0]; // what an earlier run awaited does not count
  let [socket, silence, retry]: [WebSocket?, Timer?, Timer?] = [];

  function hangUp() {
    for (const timer of [silence, retry]) clearTimeout(timer);
    if (socket) socket.onclose = socket.onmessage = null;
    socket?.close();
    retry = undefined;
    return ++run;
  }

  function lost(problem?: string) {
    hangUp();
    set({ live: false, since: current().live ? Date.now() : current().since, problem });
    retry = setTimeout(connect, pause + backoff(attempt++));
    pause = 0;
  }

  function connect() {
    const mine = hangUp();
    const then = <T>(promise: Promise<T>, act: (value: T) => void) =>
      promise.then((value) => mine === run && act(value)).catch((error) => mine === run && lost(error.message));
    const list = () => {
      listed = false;
      then(offpeak.list(), (rows) => {
        listed = true;
        const jobs = apply(current().jobs, rows).filter((job) => job.rev >= 0);
        set({ jobs, loaded: true, live: true, problem: undefined });
      });
    };
    then(offpeak.ticket(), ({ url, ticket }) => {
      let refused = true; // until the first frame: a browser does not say why it got none
      socket = new WebSocket(`${url.replace(/^http/, "ws")}/v1/live`, ["offpeak.live.v1", `offpeak.ticket.${ticket}`]);
      socket.onopen = () => socket?.send(JSON.stringify({ t: "hello", mode: "view", topics: [`user:${user}`], cursor }));
      socket.onclose = ({ code, reason }) => {
        if (refused || code === 4401) offpeak.drop();
        lost(reason);
      };
      socket.onmessage = ({ data }) => {
        const frame = JSON.parse(data);
        clearTimeout(silence);
        silence = setTimeout(lost, 45_000); // a beat comes every 20 s
        [refused, attempt, cursor] = [false, 0, frame.cursor ?? cursor];
        if (frame.t === "resync") set({ jobs: unsure(current().jobs) });
        if (frame.t === "rows") set({ jobs: apply(current().jobs, frame.jobs ?? []) });
        if (frame.t === "bye") pause = frame.retry_ms ?? 0;
        if (frame.t === "resync" || (frame.t === "hello" && !listed)) list();
        else if (frame.t === "hello") set({ live: true, problem: undefined });
      };
    });
  }

  async function read(id: string) {
    const result = await offpeak.get(`/v1/jobs/${id}/result`).catch((error) => ({ problem: error.message }));
    set({ jobs: current().jobs.map((job) => (job.id === id ? { ...job, result } : job)) });
  }

  return { current, subscribe, read };
}
