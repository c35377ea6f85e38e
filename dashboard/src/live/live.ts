// The live connection: kept open, resumed where it was, and honest about how it stands.
// docs/live.md says what the server promises. If this dies, the page still reads over HTTP.

import type { components } from "../api/schema";
import { store } from "../lib/store";
import { backoff } from "./backoff";
import { entities } from "./entities";
import { inbox, type News } from "./inbox";
import { mergeBatch, mergeJob, mergeOperation } from "./merge";
import {
  type BatchRow,
  CLOSE,
  type Counts,
  type Frame,
  type JobRow,
  type LiveUsage,
  type OperationRow,
  type Say,
} from "./protocol";
import { dial, type Line, type Lost } from "./socket";
import { watchList } from "./watch";

type Job = components["schemas"]["Job"];
type Batch = components["schemas"]["Batch"];
type Operation = components["schemas"]["Operation"];

/** - `live`: what is shown is right. - `catching_up`: connected, reading anew what was missed.
 *  - `polling`: no socket comes through, so the page asks every 10 s. - `paused`: the tab was hidden long.
 *  - `held`: the reader wants nothing to move.
 *  - `stopped`: only a reload helps. */
export type Phase =
  | "off"
  | "connecting"
  | "live"
  | "catching_up"
  | "reconnecting"
  | "polling"
  | "paused"
  | "held"
  | "stopped"
  | "signed_out";

/** `asOf`: until when what is shown is known to be right, where the phase is not `live`. */
export type Connection = {
  phase: Phase;
  asOf: number | undefined;
  problem: string | undefined;
  updated: boolean;
};

export type LiveCounts = {
  jobs: Counts | undefined;
  groups: Record<string, Counts>;
  usage: LiveUsage | undefined;
};

/** What the page does for the connection. `refresh`: reads anew what is shown (`topic`: only what a topic
 *  keeps right); `probe`: whether the server answers this session over HTTP. */
export type Page = {
  refresh: (what: "all" | "topic") => Promise<void>;
  probe: () => Promise<"ok" | "signed_out" | "down">;
};

const ALWAYS = ["jobs", "batches", "usage"];
const LONG_HIDDEN_MS = 5 * 60_000;
const POLL_MS = 10_000;
const BLOCKED_AFTER = 3; // refused this often while HTTP answers: something between does not let sockets through
const TOPICS_SETTLED_MS = 150;

type Timer = ReturnType<typeof setTimeout>;

export function createLive() {
  const jobs = entities<Job, JobRow>(mergeJob);
  const batches = entities<Batch, BatchRow>(mergeBatch, { keepUnknown: true });
  const operations = entities<Operation, OperationRow>(mergeOperation, { keepUnknown: true });
  const connection = store<Connection>({ phase: "off", asOf: undefined, problem: undefined, updated: false });
  const counts = store<LiveCounts>({ jobs: undefined, groups: {}, usage: undefined });
  const topics = new Map<string, number>();
  const watched = watchList((ids) => line?.say({ t: "watch", jobs: ids }));
  const news = inbox(apply, (cursorThen) => catchUp(cursorThen));

  let page: Page | undefined;
  let line: Line | undefined;
  let cursor: string | undefined; // what is applied; where the next connection goes on
  let heard: number | undefined; // when the last frame came
  let build: string | undefined;
  let [attempt, refusals, notBefore] = [0, 0, 0];
  let retry: Timer | undefined;
  let hidden: Timer | undefined;
  let topicsChanged: Timer | undefined;
  let poll: ReturnType<typeof setInterval> | undefined;

  const set = connection.set;
  const phase = () => connection.current().phase;

  function hangUp() {
    line?.hangUp();
    line = undefined;
    clearTimeout(retry);
    retry = undefined;
  }

  function connect() {
    hangUp();
    const hello = (): Say => ({ t: "hello", mode: "view", topics: [...ALWAYS, ...topics.keys()], cursor });
    line = dial(hello, take, lost);
  }

  function take(frame: Frame) {
    heard = Date.now();
    switch (frame.t) {
      case "hello":
        return greeted(frame);
      case "rows":
      case "counts":
      case "beat":
        return news.take(frame);
      case "resync":
        news.drop();
        jobs.unsure();
        batches.unsure();
        operations.unsure();
        return catchUp(frame.cursor);
      case "bye":
        news.flush();
        cursor = frame.cursor ?? cursor;
        notBefore = Date.now() + (frame.retry_ms ?? 0);
    }
  }

  function greeted(frame: Extract<Frame, { t: "hello" }>) {
    [attempt, refusals, notBefore] = [0, 0, 0];
    stopPolling();
    build ??= frame.build;
    if (build !== frame.build) set({ updated: true });
    watched.again();
    if (cursor !== undefined && phase() !== "polling") return isLive();
    // Nothing says what came between the first answers over HTTP and this.
    cursor ??= frame.cursor;
    catchUp(cursor, "topic");
  }

  function isLive() {
    if (phase() !== "live") set({ phase: "live", asOf: undefined, problem: undefined });
  }

  function catchUp(from: string | undefined, what: "all" | "topic" = "all") {
    cursor = from ?? cursor;
    const mine = line;
    set({
      phase: phase() === "connecting" ? "connecting" : "catching_up",
      asOf: connection.current().asOf ?? heard,
    });
    page?.refresh(what).then(
      () => line === mine && mine && isLive(),
      () => line === mine && mine && lost({ code: 1006, greeted: true }),
    );
  }

  function apply({ jobs: jobRows, batches: batchRows, operations: operationRows, ...rest }: News) {
    jobs.apply(jobRows);
    batches.apply(batchRows);
    operations.apply(operationRows);
    if (rest.counts || rest.groups || rest.usage) {
      const now = counts.current();
      counts.set({
        jobs: rest.counts ?? now.jobs,
        groups: rest.groups ? { ...now.groups, ...rest.groups } : now.groups,
        usage: rest.usage ?? now.usage,
      });
    }
    if (rest.cursor === undefined) return;
    cursor = rest.cursor;
    line?.say({ t: "ack", cursor });
  }

  function lost({ code, greeted: wasGreeted }: Lost) {
    news.flush();
    hangUp();
    if (code === CLOSE.unauthenticated) return signedOut();
    const asOf = connection.current().asOf ?? heard;
    if (code === CLOSE.badMessage || code === CLOSE.ticketScope) {
      set({ phase: "stopped", asOf, problem: "Reload the page to go on." });
      return;
    }
    const problem = code === CLOSE.tooMany ? "Too many connections: close other offpeak tabs." : undefined;
    if (phase() !== "polling")
      set({ phase: heard === undefined ? "connecting" : "reconnecting", asOf, problem });
    const wait = Math.max(notBefore - Date.now(), backoff(attempt++));
    retry = setTimeout(connect, wait);
    if (!wasGreeted) void refused();
  }

  /** A browser does not say why a socket was refused: HTTP does. */
  async function refused() {
    refusals += 1;
    const asked = retry;
    const answer = await page?.probe();
    if (retry !== asked) return; // it went on meanwhile
    if (answer === "signed_out") signedOut();
    else if (answer === "ok" && refusals >= BLOCKED_AFTER) startPolling();
    else if (answer === "down") stopPolling();
  }

  function startPolling() {
    if (poll !== undefined) return;
    const ask = async () => {
      if (document.visibilityState === "hidden") return;
      await page?.refresh("all");
      if (poll !== undefined) set({ phase: "polling", asOf: Date.now() });
    };
    poll = setInterval(() => void ask().catch(() => {}), POLL_MS);
    set({
      phase: "polling",
      problem: "Something between this page and the server does not let WebSockets through.",
    });
    void ask().catch(() => {});
  }

  function stopPolling() {
    clearInterval(poll);
    poll = undefined;
    if (phase() === "polling") set({ phase: "reconnecting" });
  }

  function signedOut() {
    stopPolling();
    hangUp();
    set({ phase: "signed_out", asOf: connection.current().asOf ?? heard, problem: undefined });
  }

  /** The network or the reader is back: no more waiting, unless the server asked for it. */
  function returned() {
    if (retry === undefined || Date.now() < notBefore) return;
    attempt = 0;
    connect();
  }

  function shown() {
    news.reschedule();
    clearTimeout(hidden);
    if (document.visibilityState === "hidden") {
      hidden = setTimeout(() => {
        if (!line && retry === undefined) return;
        news.flush();
        hangUp();
        stopPolling();
        set({ phase: "paused", asOf: connection.current().asOf ?? Date.now() });
      }, LONG_HIDDEN_MS);
    } else if (phase() === "paused") connect();
    else returned();
  }

  /** Nothing moves until `resume`, which goes on where it was. Only what is right can be held. */
  function hold(): boolean {
    if (phase() !== "live" || !line) return false;
    news.flush();
    hangUp();
    set({ phase: "held", asOf: Date.now() });
    return true;
  }

  function resume() {
    if (phase() !== "held") return;
    set({ phase: "connecting" });
    connect();
  }

  /** Connects for as long as somebody is signed in; what it gives ends it. */
  function start(with_: Page): () => void {
    page = with_;
    set({ phase: "connecting", asOf: undefined, problem: undefined });
    addEventListener("online", returned);
    addEventListener("focus", returned);
    document.addEventListener("visibilitychange", shown);
    connect();
    return () => {
      removeEventListener("online", returned);
      removeEventListener("focus", returned);
      document.removeEventListener("visibilitychange", shown);
      for (const timer of [hidden, topicsChanged]) clearTimeout(timer);
      topicsChanged = undefined;
      stopPolling();
      news.drop();
      hangUp();
      page = cursor = heard = build = undefined;
      [attempt, refusals, notBefore] = [0, 0, 0];
      jobs.clear();
      batches.clear();
      operations.clear();
      counts.set({ jobs: undefined, groups: {}, usage: undefined });
      set({ phase: "off", asOf: undefined, problem: undefined, updated: false });
    };
  }

  /** One more topic, `group:grp_…` or `user:LABEL`, until what it gives is called. A connection's topics
   *  are said in its `hello`: with other ones it begins anew, where it was. */
  function topic(name: string): () => void {
    const add = (n: number) => {
      const before = topics.get(name) ?? 0;
      if (before + n > 0) topics.set(name, before + n);
      else {
        topics.delete(name);
        forgetGroup(name);
      }
      if (before > 0 && before + n > 0) return;
      topicsChanged ??= setTimeout(() => {
        topicsChanged = undefined;
        if (line) connect();
      }, TOPICS_SETTLED_MS);
    };
    add(1);
    return () => add(-1);
  }

  /** What nobody follows any more grows old: an answer over HTTP is newer then. */
  function forgetGroup(name: string) {
    if (!name.startsWith("group:")) return;
    const { [name.slice("group:".length)]: _, ...groups } = counts.current().groups;
    counts.set({ groups });
  }

  return {
    jobs,
    batches,
    operations,
    connection,
    counts,
    start,
    topic,
    watch: watched.set,
    hold,
    resume,
    signedOut,
  };
}

export const live = createLive();
export const { jobs, batches } = live;
