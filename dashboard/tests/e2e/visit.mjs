// A page in a browser of its own, and all that is wrong with what it sees: errors in
// the console, breaches of the content security policy, exceptions.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core"), "utf8");

// A browser reports each 4xx and each refused connection as an error, whoever expects it.
const REPORTED = /^(Failed to load resource|WebSocket connection to)/;

export async function visit(browser, { width = 1440, theme = "light" } = {}) {
  const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme: theme });
  const page = await context.newPage();
  const visited = { page, wrong: [], expected: false };
  page.on("console", (message) => {
    const text = message.text();
    if (message.type() === "error" && !(visited.expected && REPORTED.test(text))) visited.wrong.push(text);
  });
  page.on("pageerror", (error) => visited.wrong.push(error.message));
  await page.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => {
      console.error(`content security policy: ${event.violatedDirective} ${event.blockedURI}`);
    });
  });
  return visited;
}

export async function signIn({ page }, url, key) {
  await page.goto(url);
  await page.getByLabel("API key").fill(key);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("status").filter({ hasText: "Live" }).first().waitFor();
}

/** What axe finds. Asked past the policy, which forbids to put a script into the page. */
export async function faults(page) {
  const isolated = await page.context().newCDPSession(page);
  const { frameTree } = await isolated.send("Page.getFrameTree");
  const { executionContextId } = await isolated.send("Page.createIsolatedWorld", {
    frameId: frameTree.frame.id,
    worldName: "axe",
  });
  const { result, exceptionDetails } = await isolated.send("Runtime.evaluate", {
    contextId: executionContextId,
    expression: `${axe}; axe.run(document, {
      runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    }).then(({ violations }) => violations.map(({ id, nodes }) => id + ": " + nodes.map((n) => n.target).join(", ")))`,
    awaitPromise: true,
    returnByValue: true,
  });
  await isolated.detach();
  if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
  return result.value;
}
