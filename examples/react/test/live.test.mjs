// The fold and the connection of `useJobs`, with a socket, a clock and answers of our own.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, beforeEach, mock, test } from "node:test";
import { pathToFileURL } from "node:url";
import ts from "typescript";

// Beside the packages, so that `react` is found.
const built = mkdtempSync(join(import.meta.dirname, "../node_modules/.test-"));
after(() => rmSync(built, { recursive: true }));
const source = join(import.meta.dirname, "../src");
for (const name of readdirSync(source).filter((name) => name.endsWith(".ts"))) {
  const compilerOptions = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 };
  const { outputText } = ts.transpileModule(readFileSync(join(source, name), "utf8"), { compilerOptions });
  writeFileSync(join(built, name.replace(/ts$/, "mjs")), outputText.replace(/from "(\.\/\w+)"/g, 'from "$1.mjs"'));
}
const load = (name) => import(pathToFileURL(join(built, name)));
const { apply, backoff, unsure } = await load("jobs.mjs");
const { liveJobs } = await load("useJobs.mjs");

const row = (id, rev, state) => ({ id, rev, state, at: "2026-01-01T00:00:00Z" });
const states = (jobs) => jobs.map(({ id, state }) => `${id} ${state}`);

test("a row counts only above the rev that is known", () => {
  let jobs = apply([], [row("a", 2, "submitted")]);
  jobs = apply(jobs, [row("a", 1, "queued"), row("a", 2, "failed"), row("b", 3, "queued")]);
  assert.deepEqual(states(jobs), ["b queued", "a submitted"]);
  assert.deepEqual(states(apply(jobs, [row("a", 9, "completed")])), ["b queued", "a completed"]);
});

test("after a resync anything is newer, and a result stays with its state", () => {
  const jobs = unsure([{ ...row("a", 900, "completed"), result: { text: "x" } }, row("b", 901, "queued")]);
  const anew = apply(jobs, [row("a", 0, "completed"), row("b", 0, "failed")]);
  assert.deepEqual(states(anew), ["b failed", "a completed"]);
  assert.equal(anew[1].result.text, "x");
  assert.equal(apply(anew, [row("a", 1, "queued")])[1].result, undefined);
});

test("the pause before a new try doubles from 0.5 s to 30 s, with full jitter", () => {
  assert.deepEqual([0, 1, 2, 6, 60].map(backoff), [500, 1000, 2000, 30_000, 30_000]);
  mock.method(Math, "random", () => 0.5);
  assert.equal(backoff(1), 500);
});

// What a browser has.
class Socket {
  static all = [];
  sent = [];
  constructor(url, protocols) {
    Object.assign(this, { url, protocols });
    Socket.all.push(this);
  }
  send(text) {
    this.sent.push(JSON.parse(text));
  }
  close() {
    this.closed = true;
  }
  say(frame) {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }
}
const settle = () => new Promise((resolve) => setImmediate(resolve));

let tickets;
let asked;
let page;
let live;
let leave = () => {};
beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  mock.method(Math, "random", () => 1);
  [tickets, asked, page, Socket.all] = [0, [], { data: [], next_cursor: null }, []];
  globalThis.window = new EventTarget();
  globalThis.WebSocket = Socket;
  globalThis.fetch = async (url) => {
    asked.push(url);
    return { ok: true, status: 200, json: async () => page };
  };
  live = liveJobs("ada", async () => ({ url: "http://offpeak", ticket: `t${++tickets}` }));
});
afterEach(() => {
  leave();
  leave = () => {};
  mock.timers.reset();
  mock.restoreAll();
});

/** A connection that was greeted and has read the list. */
async function connected() {
  leave = live.subscribe(() => {});
  await settle();
  const [socket] = Socket.all;
  socket.onopen();
  socket.say({ t: "hello", cursor: "e.1" });
  await settle();
  return socket;
}

test("says hello, then reads the list; rows since then win over it", async () => {
  page.data = [
    { id: "a", state: "queued", created_at: "2026-01-01T00:00:00Z" },
    { id: "b", state: "queued", created_at: "2026-01-01T00:00:00Z" },
  ];
  leave = live.subscribe(() => {});
  await settle();
  const [socket] = Socket.all;
  assert.equal(socket.url, "ws://offpeak/v1/live");
  assert.deepEqual(socket.protocols, ["offpeak.live.v1", "offpeak.ticket.t1"]);
  socket.onopen();
  assert.deepEqual(socket.sent, [{ t: "hello", mode: "view", topics: ["user:ada"] }]);
  assert.equal(asked.length, 0);
  socket.say({ t: "hello", cursor: "e.1" });
  socket.say({ t: "rows", cursor: "e.2", jobs: [row("a", 2, "completed")] });
  assert.equal(live.current().live, false);
  await settle();
  assert.deepEqual(states(live.current().jobs), ["b queued", "a completed"]);
  assert.equal(live.current().live, true);
});

test("comes back with its cursor, without reading the list again", async () => {
  const socket = await connected();
  socket.say({ t: "rows", cursor: "e.7", jobs: [row("a", 7, "queued")] });
  socket.onclose({ code: 1006, reason: "" });
  assert.equal(live.current().live, false);
  mock.timers.tick(500);
  await settle();
  const second = Socket.all[1];
  second.onopen();
  assert.equal(second.sent[0].cursor, "e.7");
  second.say({ t: "hello", cursor: "e.7" });
  assert.equal(live.current().live, true);
  assert.equal(asked.length, 1);
  assert.equal(tickets, 1);
});

test("a ticket that is over or refused is replaced", async () => {
  const socket = await connected();
  socket.onclose({ code: 4401, reason: "the ticket is over" });
  mock.timers.tick(500);
  await settle();
  assert.deepEqual(Socket.all[1].protocols[1], "offpeak.ticket.t2");
  Socket.all[1].onclose({ code: 1006, reason: "" });
  mock.timers.tick(1000);
  await settle();
  assert.deepEqual(Socket.all[2].protocols[1], "offpeak.ticket.t3");
});

test("waits longer from try to try, and not at all when the reader is back", async () => {
  const socket = await connected();
  socket.onclose({ code: 1006, reason: "" });
  mock.timers.tick(500);
  await settle();
  Socket.all[1].onclose({ code: 1006, reason: "" });
  mock.timers.tick(999);
  await settle();
  assert.equal(Socket.all.length, 2);
  window.dispatchEvent(new Event("focus"));
  await settle();
  assert.equal(Socket.all.length, 3);
  mock.timers.tick(60_000);
  await settle();
  assert.equal(Socket.all.length, 3);
});

test("a server that says when to come back is believed", async () => {
  const socket = await connected();
  socket.say({ t: "bye", why: "restarting", cursor: "e.3", retry_ms: 2000 });
  socket.onclose({ code: 1012, reason: "" });
  mock.timers.tick(2499);
  await settle();
  assert.equal(Socket.all.length, 1);
  mock.timers.tick(1);
  await settle();
  assert.equal(Socket.all.length, 2);
});

test("a resync reads the list anew and forgets what is gone", async () => {
  const socket = await connected();
  socket.say({ t: "rows", cursor: "e.7", jobs: [row("a", 7, "queued"), row("b", 6, "queued")] });
  page = { data: [{ id: "a", state: "completed", created_at: "2026-01-01T00:00:00Z" }], next_cursor: null };
  socket.say({ t: "resync", cursor: "f.1", why: "epoch" });
  await settle();
  assert.deepEqual(states(live.current().jobs), ["a completed"]);
  socket.say({ t: "rows", cursor: "f.2", jobs: [row("a", 2, "queued")] });
  assert.deepEqual(states(live.current().jobs), ["a queued"]);
});

test("silence counts as lost; who listens no more is not connected", async () => {
  const socket = await connected();
  mock.timers.tick(44_000);
  socket.say({ t: "beat", cursor: "e.1" });
  mock.timers.tick(44_000);
  assert.equal(live.current().live, true);
  mock.timers.tick(1000);
  assert.equal(live.current().live, false);
  assert.equal(socket.closed, true);
  leave();
  mock.timers.tick(60_000);
  await settle();
  assert.equal(Socket.all.length, 1);
});

test("a backend or a server that says nothing is not waited for", async () => {
  let asks = 0;
  live = liveJobs("ada", async () => (++asks === 1 ? new Promise(() => {}) : { url: "http://offpeak", ticket: `t${asks}` }));
  leave = live.subscribe(() => {});
  await settle();
  mock.timers.tick(15_000);
  mock.timers.tick(500);
  await settle();
  assert.equal(asks, 2);
  const [silent] = Socket.all;
  silent.onopen();
  mock.timers.tick(14_999);
  assert.equal(silent.closed, undefined);
  mock.timers.tick(1);
  assert.equal(silent.closed, true);
  mock.timers.tick(1000);
  await settle();
  assert.deepEqual(Socket.all[1].protocols[1], "offpeak.ticket.t3");
});

test("what was asked for before the end does not count after it, and is aborted", async () => {
  let answer;
  let signal;
  globalThis.fetch = (url, options) => {
    signal = options.signal;
    return new Promise((resolve) => {
      answer = () => resolve({ ok: true, status: 200, json: async () => page });
    });
  };
  leave = live.subscribe(() => {});
  await settle();
  const [socket] = Socket.all;
  socket.onopen();
  socket.say({ t: "hello", cursor: "e.1" });
  await settle();
  assert.equal(signal.aborted, false);
  leave();
  leave = () => {};
  assert.equal(signal.aborted, true);
  page.data = [{ id: "a", state: "queued", created_at: "2026-01-01T00:00:00Z" }];
  answer();
  await settle();
  assert.deepEqual([live.current().jobs, live.current().live], [[], false]);
});
