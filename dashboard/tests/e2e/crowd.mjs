// How the list of jobs bears a crowd: so many rows are loaded, and then all of them change,
// thousands a second, while somebody scrolls. Run by `scripts/dashboard-crowd`; the last
// line is JSON.
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { chromium } from "@playwright/test";
import { Offpeak, PATIENCE } from "./offpeak.mjs";
import { signIn, visit } from "./visit.mjs";

const [binary, data, executablePath, rows] = process.argv.slice(2);
const ROWS = Number(rows);
const GROUP = 25_000;
const CANCELS_AT_ONCE = 4;
/** As the issue of the dashboard asks. */
const GOAL = { fps: 45, longest_ms: 200, events_per_second: 5_000 };

// Jobs stay at the stand-in until they are canceled.
const offpeak = new Offpeak(binary, data, ["2h", "3h"]);
await offpeak.start();
const browser = await chromium.launch({
  executablePath,
  args: ["--disable-dev-shm-usage", ...(process.getuid() === 0 ? ["--no-sandbox"] : [])],
});
let code = 1;
try {
  const guest = await visit(browser);
  guest.page.setDefaultTimeout(PATIENCE);
  for (let left = ROWS; left > 0; left -= GROUP) await offpeak.submitGroup("crowd", Math.min(GROUP, left));
  const ids = [];
  const headers = { authorization: `Bearer ${offpeak.key}` };
  for (let cursor = ""; cursor !== null; ) {
    const answer = await fetch(`${offpeak.url}/v1/jobs?limit=200${cursor && `&cursor=${cursor}`}`, {
      headers,
    });
    const page = await answer.json();
    ids.push(...page.data.map((job) => job.id));
    cursor = page.next_cursor;
  }
  assert.equal(ids.length, ROWS);

  await signIn(guest, offpeak.url, offpeak.key);
  await guest.page.goto(`${offpeak.url}/jobs`);
  const table = guest.page
    .getByRole("table", { name: "Jobs" })
    .or(guest.page.getByRole("grid", { name: "Jobs" }));
  const loaded = async () => Number(await table.first().getAttribute("aria-rowcount"));
  const begun = Date.now();
  // Page by page, as somebody does who scrolls to the end.
  while ((await loaded()) <= ROWS) {
    assert.ok(Date.now() - begun < 10 * PATIENCE, "the list does not come to its end");
    await guest.page.evaluate(() => {
      for (const box of document.querySelectorAll("*")) {
        if (box.scrollHeight > box.clientHeight + 1_000) box.scrollTop = box.scrollHeight;
      }
    });
    await sleep(20);
  }
  console.log(`${(await loaded()) - 1} rows loaded in ${((Date.now() - begun) / 1000).toFixed(0)} s`);

  await guest.page.evaluate(() => {
    window.long = [];
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) window.long.push(entry.duration);
    }).observe({ type: "longtask" });
    window.painted = [];
    const frame = (at) => {
      window.painted.push(at);
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  });
  await guest.page.mouse.move(700, 500);
  const start = Date.now();
  let ended = 0;
  const chunks = [];
  for (let at = 0; at < ids.length; at += 1_000) chunks.push(ids.slice(at, at + 1_000));
  const cancel = async () => {
    for (let chunk = chunks.pop(); chunk; chunk = chunks.pop()) {
      const answer = await offpeak.post("/v1/jobs/cancel", JSON.stringify({ ids: chunk }));
      if (answer.not_done.length > 0) console.log(JSON.stringify(answer.not_done[0]));
      ended += answer.canceled;
    }
  };
  const canceling = Promise.all(Array.from({ length: CANCELS_AT_ONCE }, cancel));
  let done = false;
  canceling.finally(() => {
    done = true;
  });
  for (let turn = 0; !done; turn++) await guest.page.mouse.wheel(0, turn % 10 < 7 ? -340 : 340);
  await canceling;
  const seconds = (Date.now() - start) / 1000;
  const { painted, long } = await guest.page.evaluate(() => ({ painted: window.painted, long: window.long }));
  assert.equal(ended, ROWS);
  // What is in sight says it without a reload.
  await guest.page
    .locator("[data-id]", { hasText: /canceled/i })
    .first()
    .waitFor();
  assert.deepEqual(guest.wrong, []);
  const figures = {
    rows: ROWS,
    events_per_second: Math.round(ROWS / seconds),
    fps: Math.round((1_000 * (painted.length - 1)) / (painted.at(-1) - painted[0])),
    long_tasks: long.length,
    longest_ms: Math.max(0, ...long),
  };
  console.log(JSON.stringify(figures));
  code = figures.fps >= GOAL.fps && figures.longest_ms <= GOAL.longest_ms ? 0 : 1;
} finally {
  await browser.close();
  await offpeak.end();
}
process.exit(code);
