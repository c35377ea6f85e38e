// A whole offpeak for the walk: the real binary with its private PostgreSQL and the
// stand-in, which is killed and started again, and programs that submit to it.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { existsSync, openSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

export const PATIENCE = 60_000;

export const freePort = () =>
  new Promise((resolve) => {
    const probe = createServer().listen(0, "127.0.0.1", () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });

/** Waits until it is so, and says what it waited for when it never is. */
export async function until(what, holds) {
  for (const begin = Date.now(); !(await holds()); await sleep(100)) {
    assert.ok(Date.now() - begin < PATIENCE, `waited too long: ${what}`);
  }
}

export class Offpeak {
  /** `turnaround`: how long the stand-in's batches take, from and to. */
  constructor(binary, data, turnaround = ["2s", "3s"]) {
    Object.assign(this, { binary, data, turnaround });
  }

  /** Starts it, always on the same port: a page that waits finds it again. */
  async start() {
    this.port ??= await freePort();
    const file = join(this.data, "dev.json");
    rmSync(file, { force: true });
    const args = ["dev", "--data", this.data, "--listen", `127.0.0.1:${this.port}`];
    const [shortest, longest] = this.turnaround;
    const env = { ...process.env, OFFPEAK_DEV_TURNAROUND_MIN: shortest, OFFPEAK_DEV_TURNAROUND_MAX: longest };
    const log = openSync(`${this.data}.log`, "a");
    this.child = spawn(this.binary, args, { env, stdio: ["ignore", log, log] });
    this.ended = new Promise((resolve) => this.child.once("exit", resolve));
    while (!existsSync(file)) {
      assert.equal(this.child.exitCode, null, "offpeak ended");
      await sleep(50);
    }
    Object.assign(this, JSON.parse(readFileSync(file, "utf8")));
  }

  async end(signal = "SIGTERM") {
    this.child.kill(signal);
    await this.ended;
  }

  /** What a command prints. */
  async run(...args) {
    const env = { ...process.env, DATABASE_URL: this.database_url };
    const { stdout } = await promisify(execFile)(this.binary, args, { env });
    return stdout.trim();
  }

  /** Another tenant's key. */
  async otherKey() {
    await this.run("tenant", "create", "another");
    const said = await this.run("key", "create", "another");
    return said.split(/\s+/).find((word) => word.startsWith("ofp_live_"));
  }

  /** The address by which somebody signs in as an operator, once. */
  async operatorLink(name) {
    const said = await this.run("operator", "invite", name);
    return `${this.url}/sign-in${said.match(/#ofp_link_\w+/)[0]}`;
  }

  async post(path, body, key = this.key) {
    const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
    const answer = await fetch(this.url + path, { method: "POST", headers, body });
    assert.ok(answer.ok, `${path}: ${answer.status} ${answer.ok ? "" : await answer.text()}`);
    return answer.json();
  }

  /** Submits one summary, and gives its job. */
  submit(text, key) {
    return this.post("/v1/jobs", JSON.stringify({ type: "summarize", input: { text } }), key);
  }

  /** Submits so many as one group. */
  submitGroup(name, jobs) {
    const line = (n) => JSON.stringify({ type: "summarize", input: { text: `${name}, page ${n}.` } });
    return this.post(
      `/v1/jobs/bulk?name=${name}`,
      Array.from({ length: jobs }, (_, n) => `${line(n)}\n`).join(""),
    );
  }
}
