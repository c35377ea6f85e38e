// Both examples in Chromium, side by side: what is queued appears and completes
// without a reload, through a kill -9 of offpeak and the end of tickets, for its own
// user alone. Run by `scripts/live-walk`.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { chromium } from "playwright-core";

const [root, offpeak, data, executablePath] = process.argv.slice(2);
const PATIENCE = 40_000;

/** How each page is used. */
const examples = {
  react: {
    send: "/api/jobs",
    async ben(page, url) {
      await page.goto(url);
      await page.locator('[data-live="true"]').waitFor({ timeout: PATIENCE });
      // Without a reload: the hook itself changes over to him.
      const his = page.waitForResponse((response) => response.url().endsWith("/api/ticket"));
      await page.getByLabel("Signed in as").selectOption("ben");
      await his;
    },
    open: (item) => item.getByRole("button").click(),
  },
  fastapi: { send: "/summaries", ben: (page, url) => page.goto(`${url}/as/ben`), open: () => {} },
};

let failed = 0;
let passed = 0;
async function check(name, what) {
  const begin = Date.now();
  try {
    await what();
    passed++;
    console.log(`ok   ${name} (${((Date.now() - begin) / 1000).toFixed(1)} s)`);
  } catch (error) {
    failed++;
    console.log(`FAIL ${name}: ${error.stack ?? error}`);
  }
}

const freePort = () =>
  new Promise((resolve) => {
    const probe = createServer().listen(0, "127.0.0.1", () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });

const running = new Set();
function start(command, args, env) {
  const child = spawn(command, args, { cwd: root, env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "inherit"] });
  running.add(child);
  child.ended = new Promise((resolve) => child.once("exit", resolve)).then(() => running.delete(child));
  return child;
}

/** Starts offpeak, and gives its process and its key. */
async function startOffpeak(port) {
  const file = join(data, "dev.json");
  rmSync(file, { force: true });
  const child = start(offpeak, ["dev", "--data", data, "--listen", `127.0.0.1:${port}`], {
    OFFPEAK_DEV_TURNAROUND_MIN: "3s",
    OFFPEAK_DEV_TURNAROUND_MAX: "4s",
  });
  child.stdout.resume();
  while (!existsSync(file)) {
    assert.equal(child.exitCode, null, "offpeak ended");
    await sleep(50);
  }
  return { child, ...JSON.parse(readFileSync(file, "utf8")) };
}

async function end({ child }) {
  child.kill("SIGTERM");
  await child.ended;
}

async function until(holds) {
  for (const begin = Date.now(); !(await holds()); await sleep(100)) {
    assert.ok(Date.now() - begin < PATIENCE, `waited too long until ${holds}`);
  }
}

/** Waits until so many jobs have completed, by the key. */
async function completed({ url, key }, count) {
  const headers = { authorization: `Bearer ${key}` };
  await until(async () => {
    const answer = await fetch(`${url}/v1/jobs?state=completed`, { headers });
    return (await answer.json()).data.length === count;
  });
}

async function startExample(name, env) {
  const child = start(join(root, "scripts/example"), [name], env);
  for await (const line of createInterface(child.stdout)) return { child, url: line };
  throw new Error(`${name} did not start`);
}

/** A page of a new browser of its own, and all that is wrong with what it sees. */
async function visit(browser, key, go) {
  const wrong = [];
  const context = await browser.newContext({ viewport: { width: 390, height: 800 } });
  const page = await context.newPage();
  const seen = (text, where) => text.includes(key) && wrong.push(`the key is in ${where}`);
  const state = { page, wrong, offline: false, tickets: 0, loads: 0 };
  // A browser reports each refused connection and each 4xx as an error, whoever expects it.
  const expected = /status of (401|422)|Failed to load resource: the server responded with a status of 503/;
  page.on("console", (message) => {
    const text = message.text();
    const away = state.offline && /^(Failed to load resource|WebSocket connection to)/.test(text);
    if (message.type() === "error" && !away && !expected.test(text)) wrong.push(text);
  });
  page.on("pageerror", (error) => wrong.push(error.message));
  page.on("framenavigated", () => state.loads++);
  page.on("websocket", (socket) => socket.on("framereceived", ({ payload }) => seen(String(payload), "a frame")));
  page.on("response", async (response) => {
    if (response.url().endsWith("/ticket") && response.ok()) state.tickets++;
    seen(JSON.stringify(response.headers()), "a header");
    if (!response.headers()["content-type"]?.startsWith("text/event-stream")) {
      seen(await response.text().catch(() => ""), response.url());
    }
  });
  const network = await context.newCDPSession(page);
  await network.send("Network.enable");
  network.on("Network.eventSourceMessageReceived", (message) => seen(message.data, "an event"));
  await page.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => {
      console.error(`content security policy: ${event.violatedDirective} ${event.blockedURI}`);
    });
  });
  await go(page);
  await page.locator('[data-live="true"]').waitFor({ timeout: PATIENCE });
  state.loads = 0;
  return state;
}

/** Queues a text by the page's own form, and gives its item in the list. */
async function queue({ page }, example, text) {
  await page.getByRole("textbox").fill(text);
  const answered = page.waitForResponse((response) => response.url().endsWith(example.send));
  await page.getByRole("button", { name: "Summarize" }).click();
  const { id } = await (await answered).json();
  return page.locator(`[data-job="${id}"]`);
}

const inState = (item, ...states) =>
  item.and(item.page().locator(states.map((state) => `[data-state="${state}"]`).join())).waitFor({ timeout: PATIENCE });

async function walk() {
  const port = await freePort();
  let server = await startOffpeak(port);
  const { url: OFFPEAK_URL, key } = server;
  const env = { OFFPEAK_URL, OFFPEAK_KEY: key, TICKET_SECONDS: "10" };
  // At once, on one list of origins: each adds itself.
  const at = {};
  for (const name of Object.keys(examples)) at[name] = await startExample(name, env);
  const browser = await chromium.launch({
    executablePath,
    args: ["--disable-dev-shm-usage", ...(process.getuid() === 0 ? ["--no-sandbox"] : [])],
  });
  const pages = {};
  const items = {};
  const each = (name, what) =>
    Promise.all(Object.keys(examples).map((which) => check(`${which}: ${name}`, () => what(which, examples[which]))));

  await each("both users' pages come up, live and empty", async (which, example) => {
    const ada = await visit(browser, key, (page) => page.goto(at[which].url));
    const ben = await visit(browser, key, (page) => example.ben(page, at[which].url));
    pages[which] = { ada, ben };
    assert.equal(await ada.page.locator("[data-job]").count(), 0);
  });
  await each("a fault is said in words", async (which) => {
    const { page } = pages[which].ada;
    await page.getByRole("button", { name: "Summarize" }).click();
    await page.getByText("The text must not be empty.").waitFor();
  });
  await each("a summary appears queued and completes with its text", async (which, example) => {
    const item = await queue(pages[which].ada, example, `Minutes of ${which}\n\nThe hose leaks.`);
    await inState(item, "queued");
    await inState(item, "completed");
    await example.open(item);
    await item.locator(".text").filter({ hasText: /\w{3}/ }).waitFor();
  });
  await each("one more is on its way", async (which, example) => {
    items[which] = await queue(pages[which].ada, example, `Letter of ${which}\n\nBees may stay.`);
    await inState(items[which], "queued", "submitted");
  });

  for (const { ada, ben } of Object.values(pages)) ada.offline = ben.offline = true;
  server.child.kill("SIGKILL");
  await server.child.ended;
  await each("offpeak was killed: the page says so", async (which) => {
    await pages[which].ada.page.getByText("Reconnecting").waitFor({ timeout: PATIENCE });
    assert.notEqual(await items[which].getAttribute("data-state"), "completed");
  });
  // The jobs complete where the pages cannot see it: only their cursors can tell them.
  server = await startOffpeak(await freePort());
  await completed(server, 2 * Object.keys(examples).length);
  await end(server);
  server = await startOffpeak(port);
  await each("it is back: the page catches up by itself", async (which, example) => {
    await pages[which].ada.page.locator('[data-live="true"]').waitFor({ timeout: PATIENCE });
    await inState(items[which], "completed");
    await example.open(items[which]);
    await items[which].locator(".text").filter({ hasText: /\w{3}/ }).waitFor();
  });
  for (const { ada, ben } of Object.values(pages)) ada.offline = ben.offline = false;
  await each("a ticket that is over is replaced, and nothing was ever reloaded", async (which) => {
    const { ada, ben } = pages[which];
    const before = ada.tickets;
    await until(() => ada.tickets > before);
    for (const { page } of [ada, ben]) await page.locator('[data-live="true"]').waitFor({ timeout: PATIENCE });
    assert.equal(ada.loads, 0);
  });
  await each("the other user saw none of it", async (which) => {
    const { page } = pages[which].ben;
    assert.equal(await page.locator("[data-job]").count(), 0);
    assert.doesNotMatch(await page.content(), /Minutes of|Letter of/);
  });
  await each("no error, no breach of the policy, no key in the browser", async (which) => {
    assert.deepEqual([...pages[which].ada.wrong, ...pages[which].ben.wrong], []);
  });
  await browser.close();
  await each("Ctrl-C leaves nothing running", async (which) => {
    const { child, url } = at[which];
    child.kill("SIGINT");
    child.kill("SIGINT");
    await child.ended;
    assert.equal(child.exitCode, 0);
    await assert.rejects(fetch(url));
  });
  await end(server);
}

await check("the walk", walk);
for (const child of running) child.kill("SIGTERM");
await Promise.all([...running].map((child) => child.ended));
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
