// Who signs in, and what they are offered: an operator by a link, who makes a tenant; its first admin by
// another; a viewer; and the operator who looks at the tenant and leaves. Each in a browser of their own.
import assert from "node:assert/strict";
import { PATIENCE } from "./offpeak.mjs";
import { visit } from "./visit.mjs";

/** Opens a link, which must be gone from the address and from the history when the page is there. */
export async function signInByLink({ page }, link, heading) {
  await page.goto(link);
  await page.locator("main h1", { hasText: heading }).waitFor();
  const kept = await page.evaluate(() => [location.href, ...navigation.entries().map(({ url }) => url)]);
  assert.deepEqual(
    kept.filter((url) => url?.includes("ofp_link_")),
    [],
  );
}

/** The rail stands twice in the page: on a phone it is a menu. */
const screensOf = ({ page }) =>
  page.locator("nav a").evaluateAll((all) => [...new Set(all.map((one) => one.textContent))]);

/** The link that a dialog shows, once. */
async function shownLink(page) {
  const link = await page.getByRole("dialog").getByRole("region", { name: "link" }).innerText();
  await page.getByRole("button", { name: "I have copied it" }).click();
  return link.replaceAll(/\s/g, "");
}

async function invite(page, name, role) {
  const dialog = page.getByRole("dialog", { name: /^Invite/ });
  await dialog.getByLabel("Name", { exact: true }).fill(name);
  await dialog.getByRole("radio", { name: role }).check();
  await dialog.getByRole("button", { name: "Make the link" }).click();
  return shownLink(page);
}

/** Runs the checks; gives back where everybody is, for pictures. */
export async function walkPeople(browser, offpeak, check) {
  const who = { olga: await visit(browser), ada: await visit(browser), bob: await visit(browser) };
  for (const { page } of Object.values(who)) page.setDefaultTimeout(PATIENCE);
  const { olga, ada, bob } = who;
  const links = {};

  await check("an operator signs in by a link, which opens once", async () => {
    const link = await offpeak.operatorLink("olga@example.com");
    await signInByLink(olga, link, "Operator");
    assert.deepEqual(await screensOf(olga), ["Operator"]);
    const late = await visit(browser);
    late.expected = true;
    await late.page.goto(link);
    await late.page.getByRole("alert").getByText("opens nothing any more").waitFor();
    assert.ok(!late.page.url().includes("ofp_link_"), late.page.url());
    await late.page.context().close();
  });

  await check("the operator makes a tenant and invites its admin", async () => {
    await olga.page.getByRole("button", { name: "Make a tenant" }).click();
    await olga.page.getByLabel("Name", { exact: true }).fill("orchard");
    await olga.page.getByRole("button", { name: "Make it, and invite its admin" }).click();
    links.ada = await invite(olga.page, "ada@orchard.example", /^Admin/);
    assert.ok(links.ada.startsWith(`${offpeak.url}/sign-in#ofp_link_`), "not a whole link");
    await olga.page.getByRole("complementary", { name: "Tenant" }).getByText("orchard").waitFor();
  });

  await check("who was invited sees an empty overview of the new tenant, and invites a viewer", async () => {
    await signInByLink(ada, links.ada, "Overview");
    await ada.page.getByText("Send the first job").waitFor();
    await ada.page.getByText("ada@orchard.example").filter({ visible: true }).waitFor();
    assert.ok(!(await screensOf(ada)).includes("Operator"));
    await ada.page.goto(`${offpeak.url}/settings`);
    await ada.page.getByRole("button", { name: "Invite" }).click();
    links.bob = await invite(ada.page, "bob@orchard.example", /^Viewer/);
    await ada.page.getByRole("region", { name: "People" }).getByText("bob@orchard.example").waitFor();
  });

  await check("a key is made with the scopes of an app, rotated, and the old one says its end", async () => {
    const { page } = ada;
    await page.getByRole("button", { name: "Make a key" }).click();
    await page.getByLabel("What it is for").fill("crawler");
    await page.getByRole("button", { name: "Make the key" }).click();
    const key = await page.getByRole("dialog").getByRole("region", { name: "new key" }).innerText();
    await page.getByRole("button", { name: "I have copied it" }).click();
    await offpeak.submit("The apples are picked in October.", key.trim());
    await page.getByRole("button", { name: "Rotate crawler" }).click();
    await page.getByRole("button", { name: "Make the new key" }).click();
    await page.getByRole("button", { name: "I have copied it" }).click();
    const keys = page.getByRole("region", { name: "API keys" });
    await keys.getByText("replaced by").waitFor();
    assert.equal(await keys.getByText("jobs:read, results:read, jobs:write").count(), 2);
  });

  await check("a viewer is not offered to submit, nor anything else that a viewer may not do", async () => {
    await signInByLink(bob, links.bob, "Overview");
    assert.ok(!(await screensOf(bob)).includes("Submit"));
    await bob.page.keyboard.press("Control+k");
    await bob.page.getByRole("combobox").fill("submit");
    await bob.page.getByText("Nothing is called that").waitFor();
    await bob.page.keyboard.press("Escape");
    await bob.page.goto(`${offpeak.url}/submit`);
    await bob.page.getByText("Submitting is not among what you may do").waitFor();
    await bob.page.goto(`${offpeak.url}/settings`);
    await bob.page.locator("main").getByText("bob@orchard.example").waitFor();
    for (const name of ["Make a key", "Invite"])
      assert.equal(await bob.page.getByRole("button", { name, exact: true }).count(), 0, name);
  });

  await check(
    "the operator looks inside, is told so on every screen, changes nothing, and leaves",
    async () => {
      const { page } = olga;
      await page.getByRole("button", { name: "Look inside" }).click();
      await page.getByLabel("Reason").fill("They ask where their apples are.");
      await page.getByRole("dialog").getByRole("button", { name: "Look inside" }).click();
      const strip = page.getByText("as its operator, reading only, until");
      await strip.waitFor();
      await page.goto(`${offpeak.url}/jobs`);
      await page.locator("[data-id]").first().waitFor();
      await strip.waitFor();
      assert.ok(!(await screensOf(olga)).includes("Submit"));
      await page.getByRole("button", { name: "Leave" }).click();
      await page.locator("main h1", { hasText: "Operator" }).waitFor();
      await strip.waitFor({ state: "detached" });
      assert.deepEqual(await screensOf(olga), ["Operator"]);
    },
  );

  await check("who is removed is out within seconds, without a reload", async () => {
    await bob.page.goto(`${offpeak.url}/jobs`);
    await bob.page.getByRole("status").filter({ hasText: "Live" }).first().waitFor();
    bob.expected = true;
    await ada.page.getByRole("button", { name: "Remove bob@orchard.example" }).click();
    await ada.page.getByRole("button", { name: "Remove them" }).click();
    await bob.page.getByText("Your session is over").waitFor();
  });

  await check("nothing was wrong in their consoles either", async () => {
    assert.deepEqual([...olga.wrong, ...ada.wrong, ...bob.wrong], []);
  });
  return who;
}
