// Signing in by an identity server, a real one that runs on this machine, in Chromium. Run by
// `scripts/oidc-walk`; the last line is `N passed, M failed`.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { chromium } from "@playwright/test";
import { freePort, Offpeak } from "./offpeak.mjs";
import { faults, visit } from "./visit.mjs";

const [binary, data, server, executablePath] = process.argv.slice(2);
const PATIENCE = 15_000;
const CLIENT = { id: "offpeak-walk", secret: "the-secret-of-the-walk" };

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

const accounts = {
  ada: { email: "ada@example.com", email_verified: true },
  bob: { email: "bob@example.com", email_verified: true },
  carol: { email: "carol@example.com", email_verified: false },
  eve: { email: "eve@example.com", email_verified: true },
};
const file = `${data}.accounts.json`;
const remember = () => writeFileSync(file, JSON.stringify(accounts));
remember();

const offpeak = new Offpeak(binary, data);
offpeak.port = await freePort();
const ours = `http://127.0.0.1:${offpeak.port}`;
const RETURN = `${ours}/sign-in/oidc`;
const port = await freePort();
// The same for the server and for its commands.
Object.assign(process.env, {
  OFFPEAK_SERVER_PUBLIC_URL: ours,
  OFFPEAK_OIDC_ISSUER: `http://localhost:${port}`,
  OFFPEAK_OIDC_CLIENT_ID: CLIENT.id,
  OFFPEAK_OIDC_CLIENT_SECRET: CLIENT.secret,
  OFFPEAK_OIDC_NAME: "Example Ltd",
});

let identity;
async function startIdentity() {
  identity = spawn("node", [server, port, RETURN, CLIENT.id, CLIENT.secret, file], {
    stdio: ["pipe", "pipe", "ignore"],
  });
  await new Promise((resolve, reject) => {
    identity.stdout.on("data", (text) => String(text).includes("ready") && resolve());
    identity.once("exit", () => reject(new Error("the identity server ended")));
  });
}
async function endIdentity() {
  identity.removeAllListeners("exit");
  const ended = new Promise((resolve) => identity.once("exit", resolve));
  identity.kill();
  await ended;
}

await startIdentity();
await offpeak.start();
const invite = (tenant, name, role) => offpeak.run("person", "invite", tenant, name, "--role", role);
await offpeak.run("tenant", "create", "orchard");
await Promise.all([
  invite("demo", "Ada@Example.com", "admin"),
  invite("demo", "bob@example.com", "viewer"),
  invite("demo", "carol@example.com", "viewer"),
  invite("orchard", "bob@example.com", "member"),
]);

const browser = await chromium.launch({
  executablePath,
  args: [
    "--disable-dev-shm-usage",
    // The identity server's own pages ask for a font from elsewhere, and wait for it.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
    ...(process.getuid() === 0 ? ["--no-sandbox"] : []),
  ],
});
const visits = [];
async function someone() {
  const visited = await visit(browser);
  visited.page.setDefaultTimeout(PATIENCE);
  visits.push(visited);
  return visited;
}

/** From the door to the identity server's own form, and through it. */
async function go(visited, account) {
  const { page, expected } = visited;
  await page.goto(ours);
  // The server's own pages lack a picture and a font.
  visited.expected = true;
  await page.getByRole("button", { name: "Sign in with Example Ltd" }).click();
  await page.getByPlaceholder("Enter any login").fill(account);
  await page.getByPlaceholder("and password").fill("any");
  await page.getByRole("button", { name: "Sign-in" }).click();
  visited.expected = expected;
}
/** The same, but the browser does not come back: gives the address to which it would. */
async function stay(visited, account) {
  // Not by `page.route`, which does not see where a redirect leads.
  const tools = await visited.page.context().newCDPSession(visited.page);
  const caught = new Promise((resolve) => {
    tools.once("Fetch.requestPaused", async ({ requestId, request }) => {
      await tools.send("Fetch.failRequest", { requestId, errorReason: "Aborted" });
      resolve(request.url);
    });
  });
  await tools.send("Fetch.enable", { patterns: [{ urlPattern: `${RETURN}?*` }] });
  await go(visited, account);
  const address = await caught;
  await tools.detach();
  return address;
}
const inside = ({ page }) => page.getByRole("status").filter({ hasText: "Live" }).first().waitFor();
/** Refused, in words; an answer of 400 or more is an error in the browser's console. */
async function refused(visited, title, ...words) {
  const alert = visited.page.getByRole("alert");
  await alert.getByRole("heading", { name: title }).waitFor();
  const text = await alert.innerText();
  for (const word of words) assert.ok(text.includes(word), `${word} in ${text}`);
  const kept = await visited.page.evaluate(() => [
    location.href,
    ...navigation.entries().map(({ url }) => url),
  ]);
  assert.deepEqual(
    kept.filter((url) => /[?&](code|state)=/.test(url ?? "")),
    [],
  );
}
const audit = async () => {
  const headers = { authorization: `Bearer ${offpeak.key}` };
  return (await (await fetch(`${ours}/v1/audit`, { headers })).json()).data;
};
const people = async () => {
  const headers = { authorization: `Bearer ${offpeak.key}` };
  return (await (await fetch(`${ours}/v1/people`, { headers })).json()).data;
};

const ada = await someone();
let used;

await check("the doctor asks the identity server", async () => {
  const said = await offpeak.run("doctor").catch((error) => error.stdout);
  assert.match(said, /^ok {4}identity server +http:\/\/localhost:\d+ answers; .*\/sign-in\/oidc/m);
});

await check("who was added by address signs in, and neither address nor history keeps how", async () => {
  ada.page.on("request", (request) => {
    if (request.url().startsWith(`${RETURN}?`)) used = request.url();
  });
  await go(ada, "ada");
  await inside(ada);
  const kept = await ada.page.evaluate(() => [
    location.href,
    ...navigation.entries().map(({ url }) => url),
    JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]),
  ]);
  assert.match(used, /[?&]code=.*[?&]state=|[?&]state=.*[?&]code=/);
  assert.deepEqual(
    kept.filter((text) => /[?&](code|state)=|ofp_/.test(text ?? "")),
    [],
  );
  const cookies = await ada.page.context().cookies(ours);
  const away = cookies.find(({ name }) => name === "__Host-offpeak_signin");
  const { httpOnly, secure, sameSite, path } = away;
  assert.deepEqual(
    { httpOnly, secure, sameSite, path },
    { httpOnly: true, secure: true, sameSite: "Strict", path: "/" },
  );
  const [entry] = (await audit()).filter(({ action }) => action === "person.sign_in");
  assert.equal(entry.detail, "by the identity server, for the first time");
  assert.equal(entry.actor_name, "Ada@Example.com");
});

await check("the address that the browser came back to opens nothing a second time", async () => {
  ada.expected = true;
  await ada.page.goto(used);
  await refused(ada, "This sign-in is over", "was used before");
  ada.expected = false;
});

await check("who signs out is out, and back by the account, whatever its address is now", async () => {
  await ada.page.goto(ours);
  await inside(ada);
  await ada.page.getByRole("button", { name: "Sign out" }).first().click();
  await ada.page.getByRole("dialog").getByRole("button", { name: "Sign out" }).click();
  await ada.page.getByLabel("API key").waitFor();
  ada.expected = true;
  const me = await ada.page.evaluate(() =>
    fetch("/v1/session")
      .then(({ status }) => status)
      .catch(String),
  );
  assert.equal(me, 401);
  ada.expected = false;
  accounts.ada.email = "ada.lovelace@example.com";
  remember();
  // Still signed in there: it asks for nothing.
  await ada.page.getByRole("button", { name: "Sign in with Example Ltd" }).click();
  await inside(ada);
  const [entry] = (await audit()).filter(({ action }) => action === "person.sign_in");
  assert.equal(entry.detail, "by the identity server");
});

await check("a stranger is told whom to ask", async () => {
  const eve = await someone();
  eve.expected = true;
  await go(eve, "eve");
  await refused(eve, "Nobody has added you yet", "eve@example.com", "ask an admin of your tenant to add you");
  assert.deepEqual(await faults(eve.page), []);
  assert.deepEqual(
    (await eve.page.context().cookies(ours)).map(({ name }) => name),
    ["__Host-offpeak_signin"],
  );
});

await check("who was given an address that somebody else had before is a stranger", async () => {
  accounts.eve.email = "ada@example.com";
  remember();
  const eve = await someone();
  eve.expected = true;
  await go(eve, "eve");
  await refused(eve, "Nobody has added you yet", "ada@example.com");
});

await check("an address that is not verified opens nothing", async () => {
  const carol = await someone();
  carol.expected = true;
  await go(carol, "carol");
  await refused(carol, "Your address is not verified", "verify the address there");
});

await check("another browser cannot come back for somebody, who still can", async () => {
  const [victim, thief] = [await someone(), await someone()];
  thief.expected = true;
  victim.expected = true;
  const address = await stay(victim, "ada");
  await thief.page.goto(address);
  await refused(thief, "This sign-in is over", "no sign-in under way");
  // Nor one that has a sign-in of its own.
  await stay(thief, "eve");
  await thief.page.goto(address);
  await refused(thief, "This sign-in is over", "not the sign-in that this browser began last");
  assert.deepEqual(
    (await thief.page.context().cookies(ours)).map(({ name }) => name),
    ["__Host-offpeak_signin"],
  );
  await victim.page.goto(address);
  await inside(victim);
});

await check("who is of several tenants chooses, and enters no other", async () => {
  const bob = await someone();
  await go(bob, "bob");
  bob.expected = true;
  await bob.page.getByRole("heading", { name: "Where do you want to work?" }).waitFor();
  assert.deepEqual(await bob.page.locator("main li").allInnerTexts(), ["demo", "orchard"]);
  assert.deepEqual(await faults(bob.page), []);
  await bob.page.getByRole("button", { name: "orchard" }).click();
  await inside(bob);
  const { name, role } = await bob.page.evaluate(() => fetch("/v1/session").then((answer) => answer.json()));
  assert.deepEqual({ name, role }, { name: "orchard", role: "member" });
  const again = await bob.page.evaluate(async (tenant) => {
    const headers = { "content-type": "application/json" };
    const body = JSON.stringify({ tenant });
    const answer = await fetch("/v1/session/oidc/tenant", { method: "POST", headers, body });
    return (await answer.json()).code;
  }, "ten_x");
  assert.equal(again, "sign_in_over");
});

await check("who cancels there is told so", async () => {
  const carol = await someone();
  carol.expected = true;
  await carol.page.goto(ours);
  await carol.page.getByRole("button", { name: "Sign in with Example Ltd" }).click();
  await carol.page.getByRole("link", { name: /cancel/i }).click();
  await refused(carol, "The identity server did not let you in", "access_denied");
});

await check("who is removed is out within five seconds, and does not come back", async () => {
  const { id } = (await people()).find(({ name }) => name === "Ada@Example.com");
  ada.expected = true;
  const begin = Date.now();
  await offpeak.run("person", "remove", "demo", id);
  await ada.page.getByText("Your session is over").waitFor();
  const took = Date.now() - begin;
  assert.ok(took < 6_000, `${took} ms, the command itself included`);
  await ada.page.getByRole("button", { name: "Sign in with Example Ltd" }).click();
  await refused(ada, "Nobody has added you yet", "ada.lovelace@example.com");
});

await check("an identity server that is down is said, and keys and links go on", async () => {
  const bob = await someone();
  bob.expected = true;
  const address = await stay(bob, "bob");
  await endIdentity();
  await bob.page.goto(address);
  await refused(bob, "The identity server does not answer", "an API key or a link signs in as well");
  const said = await offpeak.run("doctor").catch((error) => error.stdout);
  assert.match(said, /^FAIL {2}identity server +.*\(discovery: no connection\)/m);
  // A process that has never asked it.
  await offpeak.end();
  await offpeak.start();
  await bob.page.goto(ours);
  await bob.page.getByRole("button", { name: "Sign in with Example Ltd" }).click();
  await bob.page.getByRole("alert").getByText("the identity server does not answer").waitFor();
  await bob.page.getByLabel("API key").fill(offpeak.key);
  await bob.page.getByRole("button", { name: "Sign in", exact: true }).click();
  await inside(bob);
});

await check("nothing was wrong in any browser", async () => {
  const wrong = visits.flatMap(({ wrong }) => wrong);
  assert.deepEqual(wrong, []);
});

await browser.close();
await offpeak.end();
identity.kill();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
