// The dashboard in Chromium against a real offpeak. Run by `scripts/dashboard-walk`;
// the last line is `N passed, M failed`.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "@playwright/test";
import { Offpeak, PATIENCE, until } from "./offpeak.mjs";
import { signInByLink, walkPeople } from "./people.mjs";
import { faults, signIn, visit } from "./visit.mjs";

const [binary, data, shots, executablePath, jobs] = process.argv.slice(2);
const MANY = Number(jobs);
const THEMES = ["light", "dark"];

let passed = 0;
let failed = 0;
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

const offpeak = new Offpeak(binary, data);
await offpeak.start();
const browser = await chromium.launch({
  executablePath,
  args: ["--disable-dev-shm-usage", ...(process.getuid() === 0 ? ["--no-sandbox"] : [])],
});
const ada = await visit(browser);
ada.page.setDefaultTimeout(PATIENCE);
const row = (id) => ada.page.locator(`[data-id="${id}"]`);
/** From here on the page may not be loaded anew. */
const begin = () => ada.page.evaluate(() => Object.assign(window, { begun: true }));
const stayed = async () => assert.ok(await ada.page.evaluate(() => window.begun), "the page was loaded anew");
const live = () => ada.page.getByRole("status").filter({ hasText: "Live" }).first().waitFor();

await check("a key that does not hold is refused in words", async () => {
  ada.expected = true;
  await ada.page.goto(offpeak.url);
  await ada.page.getByLabel("API key").fill("ofp_live_nobody");
  await ada.page.keyboard.press("Enter");
  await ada.page.getByRole("alert").waitFor();
  ada.expected = false;
});

await check("a key becomes a session, and the browser keeps no key", async () => {
  await signIn(ada, offpeak.url, offpeak.key);
  const kept = await ada.page.evaluate(() =>
    JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]),
  );
  assert.ok(!kept.includes(offpeak.key) && !kept.includes("ofp_"), kept);
});

await check("what is submitted elsewhere appears, and completes without a reload", async () => {
  await ada.page.goto(`${offpeak.url}/jobs`);
  await live();
  await begin();
  const { id } = await offpeak.submit("The hose leaks, and nobody has a spare.");
  await row(id).waitFor();
  await row(id).getByText("Completed").waitFor();
  await stayed();
});

await check("submitted from the page, it is priced before and completes before one's eyes", async () => {
  await ada.page.goto(`${offpeak.url}/submit?type=summarize`);
  await live();
  await begin();
  await ada.page
    .getByLabel("Text", { exact: true })
    .fill("The allotments are watered at six, and the hose is shared.");
  await ada.page
    .getByTitle(/^\$0\.0000/)
    .first()
    .waitFor();
  await ada.page.getByRole("button", { name: "Submit" }).click();
  await ada.page.getByText("Completed").first().waitFor();
  await ada.page.getByRole("heading", { name: "Result" }).waitFor();
  await stayed();
});

await check("a job's panel opens by its address and shows its answer", async () => {
  const { id } = await offpeak.submit("Bees may stay until October.");
  await ada.page.goto(`${offpeak.url}/jobs?id=${id}`);
  const panel = ada.page.getByRole("complementary", { name: "Job" });
  await panel.getByText("Completed").first().waitFor();
  await panel.getByText("From a program").waitFor();
});

await check("the server is killed: the page says so, and catches up by itself", async () => {
  await ada.page.goto(`${offpeak.url}/jobs`);
  await live();
  await begin();
  const { id } = await offpeak.submit("Nobody was at the pier.");
  await row(id).waitFor();
  ada.expected = true;
  await offpeak.end("SIGKILL");
  await ada.page.getByRole("status").filter({ hasText: "Reconnecting" }).first().waitFor();
  await offpeak.start();
  await live();
  await row(id).getByText("Completed").waitFor();
  ada.expected = false;
  await stayed();
});

await check(
  "all that match are retried by the server, through a kill -9, and the page says how it ended",
  async () => {
    const { group } = await offpeak.submitGroup("again", 1000);
    const { canceled } = await offpeak.post(`/v1/groups/${group}/cancel`, "{}");
    assert.ok(canceled > 200, `${canceled} were canceled: not more than a page`);
    await ada.page.goto(`${offpeak.url}/jobs?group=${group}&state=canceled`);
    await ada.page.locator("tbody tr").first().waitFor();
    await begin();
    await ada.page.keyboard.press("a");
    await ada.page.getByRole("button", { name: "Select all that match this filter" }).waitFor();
    await ada.page.keyboard.press("Shift+A");
    await ada.page.keyboard.press("r");
    await ada.page.getByRole("dialog", { name: `Retry ${canceled.toLocaleString("en")} jobs?` }).waitFor();
    assert.deepEqual(await faults(ada.page), []);
    await ada.page.keyboard.press("Enter");
    const line = ada.page.getByRole("region", { name: /^Retry / });
    await line.waitFor();
    ada.expected = true;
    await offpeak.end("SIGKILL");
    await offpeak.start();
    await line.getByText("queued again").waitFor();
    ada.expected = false;
    await stayed();
    const headers = { authorization: `Bearer ${offpeak.key}` };
    const { data } = await (await fetch(`${offpeak.url}/v1/operations`, { headers })).json();
    assert.equal(data[0].state, "done");
    assert.equal(data[0].matched, canceled, "each of them once");
  },
);

await check("another tenant's ids are not there", async () => {
  const key = await offpeak.otherKey();
  const { id } = await offpeak.submit("Somebody else's letter.", key);
  ada.expected = true;
  await ada.page.goto(`${offpeak.url}/jobs?id=${id}`);
  const unknown = `job_${"0".repeat(26)}`;
  const said = async (asked) => {
    await ada.page.goto(`${offpeak.url}/jobs?id=${asked}`);
    const panel = ada.page.getByRole("complementary", { name: "Job" });
    await panel.getByRole("alert").waitFor();
    return (await panel.innerText()).replaceAll(asked, "ID").replace(/req_\w+/, "REQUEST");
  };
  assert.equal(await said(id), await said(unknown));
  ada.expected = false;
  assert.doesNotMatch(await ada.page.content(), /Somebody else/);
});

await check("by the keyboard alone: to a job, into it, back, and to another screen", async () => {
  await ada.page.goto(`${offpeak.url}/jobs`);
  await live();
  await ada.page.locator("[data-id]").first().waitFor();
  await ada.page.keyboard.press("j");
  await ada.page.keyboard.press("Enter");
  await ada.page.getByRole("complementary", { name: "Job" }).waitFor();
  await ada.page.keyboard.press("Escape");
  await ada.page.getByRole("complementary", { name: "Job" }).waitFor({ state: "detached" });
  await ada.page.keyboard.press("?");
  await ada.page.getByRole("dialog").waitFor();
  await ada.page.keyboard.press("Escape");
  await ada.page.keyboard.press("Control+k");
  await ada.page.getByRole("dialog").waitFor();
  await ada.page.keyboard.press("Escape");
});

await check(`${MANY} jobs settle while somebody scrolls`, async () => {
  await ada.page.goto(`${offpeak.url}/jobs`);
  await live();
  await ada.page.evaluate(() => {
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
  await offpeak.submitGroup("pages", MANY);
  const headers = { authorization: `Bearer ${offpeak.key}` };
  const begin = Date.now();
  await ada.page.mouse.move(700, 500);
  await until(`${MANY} jobs to complete`, async () => {
    for (let turn = 0; turn < 10; turn++) await ada.page.mouse.wheel(0, turn < 7 ? 340 : -340);
    const answer = await fetch(`${offpeak.url}/v1/groups`, { headers });
    return (await answer.json()).data[0].counts.completed === MANY;
  });
  const seconds = (Date.now() - begin) / 1000;
  const { painted, long } = await ada.page.evaluate(() => ({ painted: window.painted, long: window.long }));
  const fps = Math.round((1_000 * (painted.length - 1)) / (painted.at(-1) - painted[0]));
  const figures = { fps, long_tasks: long.length, longest_ms: Math.max(0, ...long) };
  console.log(`     ${MANY} jobs in ${seconds.toFixed(0)} s: ${JSON.stringify(figures)}`);
  // It answers while it works: a key is heard at once.
  const pressed = Date.now();
  await ada.page.keyboard.press("?");
  await ada.page.getByRole("dialog").waitFor();
  assert.ok(Date.now() - pressed < 1_000, "a key was not heard");
  await ada.page.keyboard.press("Escape");
});

await check("nothing was wrong in the console, with the policy, or in the page", async () => {
  assert.deepEqual(ada.wrong, []);
});

const { olga } = await walkPeople(browser, offpeak, check);
await olga.page.context().close();

mkdirSync(shots, { recursive: true });
const screens = await ada.page
  .locator("nav a")
  .evaluateAll((links) => [...new Set(links.map((link) => new URL(link.href).pathname))]);
/** A picture of what is open, what axe finds on it, and whether it is wider than the screen. */
async function look({ page, wrong }, name) {
  await page.locator("main h1").waitFor();
  await page.waitForLoadState("networkidle").catch(() => {});
  await page.screenshot({ path: join(shots, `${name}.png`) });
  assert.deepEqual(await faults(page), []);
  const overflows = await page.evaluate(() => {
    if (document.documentElement.scrollWidth <= innerWidth) return "";
    const wide = [...document.querySelectorAll("body *")].find(
      (e) => e.getBoundingClientRect().right > innerWidth,
    );
    return wide?.outerHTML.slice(0, 120) ?? "something";
  });
  assert.equal(overflows, "", "wider than the screen");
  assert.deepEqual(wrong, []);
}

/** What opens over a screen: where, and how. */
const OVER = {
  "make-key": ["/settings", (page) => page.getByRole("button", { name: "Make a key" }).click()],
  invite: ["/settings", (page) => page.getByRole("button", { name: "Invite" }).click()],
};
const OPERATORS = {
  operator: ["/operator", (page) => page.getByRole("region", { name: "Tenants" }).waitFor()],
  tenant: ["/operator", openTenant],
  "look-inside": [
    "/operator",
    async (page) => {
      await openTenant(page);
      await page.getByRole("button", { name: "Look inside" }).click();
      await page.getByRole("dialog").waitFor();
    },
  ],
};

async function openTenant(page) {
  await page.getByRole("region", { name: "Tenants" }).getByRole("link", { name: "demo" }).click();
  await page.getByRole("region", { name: "By day" }).waitFor();
}

for (const theme of THEMES) {
  for (const width of [1440, 390]) {
    const there = `at ${width} px, ${theme}: axe finds nothing, and nothing overflows`;
    const guest = await visit(browser, { theme, width });
    guest.page.setDefaultTimeout(PATIENCE);
    await guest.page.goto(offpeak.url);
    await check(`the door ${there}`, () => look(guest, `door-${width}-${theme}`));
    await signIn(guest, offpeak.url, offpeak.key);
    for (const path of screens)
      await check(`${path} ${there}`, async () => {
        await guest.page.goto(offpeak.url + path);
        await look(guest, `${path.replaceAll("/", "") || "overview"}-${width}-${theme}`);
      });
    const views = async (all) => {
      for (const [name, [path, open]] of Object.entries(all))
        await check(`${name} ${there}`, async () => {
          await guest.page.goto(offpeak.url + path);
          await open(guest.page);
          await look(guest, `${name}-${width}-${theme}`);
        });
    };
    await views(OVER);
    await signInByLink(guest, await offpeak.operatorLink("olga@example.com"), "Operator");
    await views(OPERATORS);
    await check(`a look ${there}`, async () => {
      await guest.page.getByLabel("Reason").fill("A picture.");
      await guest.page.getByRole("dialog").getByRole("button", { name: "Look inside" }).click();
      await guest.page.getByText("as its operator, reading only").waitFor();
      await look(guest, `look-${width}-${theme}`);
    });
    await guest.page.context().close();
  }
}

await browser.close();
await offpeak.end();
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
