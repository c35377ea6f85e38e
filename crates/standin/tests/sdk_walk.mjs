// The official TypeScript SDK against a running stand-in: batches, errors, retries,
// reports.
//
// Needs `npm install --ignore-scripts @anthropic-ai/sdk` in the folder of this file or
// above. Where the stand-in is and which key it takes come from ANTHROPIC_BASE_URL and
// ANTHROPIC_API_KEY. Exits with 1 if a check failed; the last line is
// `N passed, M failed`.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";

import Anthropic from "@anthropic-ai/sdk";

const BASE = process.env.ANTHROPIC_BASE_URL ?? "http://127.0.0.1:8090";
const KEY = process.env.ANTHROPIC_API_KEY ?? "sk-ant-standin";
const RUN = randomUUID().slice(0, 8);

const connect = (options = {}) => new Anthropic({ baseURL: BASE, apiKey: KEY, ...options });

/** Asks the stand-in for faults, for this walk's key only. */
async function rules(...rules) {
  const body = JSON.stringify({ rules: rules.map((rule) => ({ key: KEY, ...rule })) });
  const answer = await fetch(`${BASE}/_standin/faults`, { method: "POST", body });
  assert.equal(answer.status, 200, await answer.text());
}

const clearRules = () => fetch(`${BASE}/_standin/faults`, { method: "DELETE" });

const request = (name, text, params = {}) => ({
  custom_id: `${RUN}-${name}`,
  params: {
    model: "claude-haiku-5-5",
    max_tokens: 300,
    messages: [{ role: "user", content: text }],
    ...params,
  },
});

const requests = (count, params = () => ({})) =>
  Array.from({ length: count }, (_, n) => request(`n${n}`, "Foxes jump.", params(n)));

async function waitFor(client, id) {
  const deadline = Date.now() + 60_000;
  for (;;) {
    const batch = await client.messages.batches.retrieve(id);
    if (batch.processing_status === "ended") return batch;
    assert(Date.now() < deadline, `${id} did not end in a minute`);
    await pause(100);
  }
}

async function collect(pages) {
  const all = [];
  for await (const one of await pages) all.push(one);
  return all;
}

async function fails(kind, call) {
  try {
    await call();
  } catch (error) {
    assert(error instanceof kind, `${error.constructor.name} is no ${kind.name}: ${error}`);
    return error;
  }
  assert.fail(`no ${kind.name}`);
}

const checks = {
  async createPollResults() {
    const client = connect();
    const schema = {
      type: "object",
      properties: { category: { type: "string", enum: ["animals", "plants"] } },
      required: ["category"],
      additionalProperties: false,
    };
    const format = { format: { type: "json_schema", schema } };
    const batch = await client.messages.batches.create({
      requests: [
        request("text", "Summarize in at most 20 words:\n\nFoxes jump over dogs. Dogs sleep."),
        request("json", "<document>All plants need light. Plants grow.</document>", { output_config: format }),
        request("temperature", "Foxes jump.", { temperature: 0.5 }),
        request("model", "Foxes jump.", { model: "claude-none" }),
      ],
    });
    assert.match(batch.id, /^msgbatch_standin_/);
    assert.equal(batch.processing_status, "in_progress");
    assert.equal(batch.request_counts.processing, 4);
    assert.equal(batch.results_url, null);
    const ended = await waitFor(client, batch.id);
    assert.deepEqual(ended.request_counts, { processing: 0, succeeded: 2, errored: 2, canceled: 0, expired: 0 });
    const results = {};
    for (const line of await collect(client.messages.batches.results(batch.id))) {
      results[line.custom_id.slice(RUN.length + 1)] = line.result;
    }
    const { message } = results.text;
    assert.equal(message.content[0].text, "Foxes jump over dogs. Dogs sleep.");
    assert.equal(message.usage.service_tier, "batch");
    assert.deepEqual(JSON.parse(results.json.message.content[0].text), { category: "plants" });
    assert.equal(results.temperature.error.type, "error");
    assert.equal(results.temperature.error.error.type, "invalid_request_error");
    assert.equal(results.model.error.error.type, "not_found_error");
  },

  async allFourEnds() {
    const client = connect();
    await rules({ on: ["create"], fault: { batch: { expired: 0.3 } } });
    const mixed = requests(40, (n) => (n % 2 ? { temperature: 1 } : {}));
    const ended = await waitFor(client, (await client.messages.batches.create({ requests: mixed })).id);
    const lines = await collect(client.messages.batches.results(ended.id));
    const types = new Set(lines.map((line) => line.result.type));
    assert.deepEqual([...types].sort(), ["errored", "expired", "succeeded"]);
    const batch = await client.messages.batches.create({ requests: mixed });
    await client.messages.batches.cancel(batch.id);
    const { id, request_counts: counts } = await waitFor(client, batch.id);
    const canceled = (await collect(client.messages.batches.results(id))).filter(
      (line) => line.result.type === "canceled",
    );
    assert(canceled.length > 0);
    assert.equal(canceled.length, counts.canceled);
  },

  async listBothWays() {
    const client = connect();
    const made = [];
    for (let n = 0; n < 5; n++) made.push((await client.messages.batches.create({ requests: requests(1) })).id);
    const ids = async (query) => (await collect(client.messages.batches.list(query))).map((batch) => batch.id);
    const all = await ids({ limit: 2 });
    assert.equal(new Set(all).size, all.length);
    assert.deepEqual(all.filter((id) => made.includes(id)), made.toReversed());
    assert.deepEqual((await ids({ limit: 2, before_id: made[0] })).sort(), made.slice(1).sort());
    assert.deepEqual((await ids({ limit: 2, after_id: made[2] })).slice(0, 2), [made[1], made[0]]);
  },

  async cancelAndDelete() {
    const client = connect();
    const batch = await client.messages.batches.create({ requests: requests(1) });
    const canceling = await client.messages.batches.cancel(batch.id);
    assert.equal(canceling.processing_status, "canceling");
    await waitFor(client, batch.id);
    assert.equal((await client.messages.batches.delete(batch.id)).type, "message_batch_deleted");
    await fails(Anthropic.NotFoundError, () => client.messages.batches.retrieve(batch.id));
  },

  async everyStatusIsItsOwnError() {
    const client = connect({ maxRetries: 0 });
    for (const [status, kind, name] of [
      [400, Anthropic.BadRequestError, "invalid_request_error"],
      [401, Anthropic.AuthenticationError, "authentication_error"],
      [402, Anthropic.PaymentRequiredError, "billing_error"],
      [403, Anthropic.PermissionDeniedError, "permission_error"],
      [404, Anthropic.NotFoundError, "not_found_error"],
      [409, Anthropic.ConflictError, "conflict_error"],
      [413, Anthropic.ContentTooLargeError, "request_too_large"],
      [429, Anthropic.RateLimitError, "rate_limit_error"],
      [500, Anthropic.InternalServerError, "api_error"],
      [503, Anthropic.ServiceUnavailableError, "api_error"],
      [504, Anthropic.GatewayTimeoutError, "timeout_error"],
      [529, Anthropic.OverloadedError, "overloaded_error"],
    ]) {
      await rules({ on: ["list"], fault: { status: { status } } });
      const error = await fails(kind, () => client.messages.batches.list());
      assert.equal(error.constructor, kind);
      assert.equal(error.status, status);
      assert.equal(error.error.error.type, name);
      assert.match(error.requestID, /^req_/);
    }
    for (const [status, code, kind] of [
      [429, "enforced_spend_limit_reached", Anthropic.RateLimitError],
      [400, "organization_on_hold", Anthropic.BadRequestError],
    ]) {
      await rules({ on: ["create"], fault: { status: { status, code } } });
      const error = await fails(kind, () => client.messages.batches.create({ requests: requests(1) }));
      assert.equal(error.error.error.details.error_code, code);
    }
    await rules({ on: ["create"], fault: { status: { status: 413, body: "html" } } });
    await fails(Anthropic.ContentTooLargeError, () => client.messages.batches.create({ requests: requests(1) }));
  },

  async errorsThatNobodyAskedFor() {
    const client = connect({ maxRetries: 0 });
    const { batches } = client.messages;
    await fails(Anthropic.NotFoundError, () => batches.retrieve("msgbatch_none"));
    await fails(Anthropic.NotFoundError, () => client.models.retrieve("claude-none"));
    await fails(Anthropic.BadRequestError, () => batches.create({ requests: [] }));
    await fails(Anthropic.BadRequestError, () => batches.create({ requests: [request("x".repeat(80), "Foxes.")] }));
    const batch = await batches.create({ requests: requests(1) });
    await fails(Anthropic.AnthropicError, () => batches.results(batch.id));
    await fails(Anthropic.BadRequestError, () => batches.delete(batch.id));
    await fails(Anthropic.PermissionDeniedError, () => client.organization.rateLimits.list());
    await waitFor(client, batch.id);
    await fails(Anthropic.BadRequestError, () => batches.cancel(batch.id));
  },

  async retriesObeyTheHeaders() {
    const client = connect();
    const timed = async (status) => {
      await rules({ on: ["create"], fault: { status } });
      const began = performance.now();
      await client.messages.batches.create({ requests: requests(1) });
      return performance.now() - began;
    };
    assert((await timed({ status: 529, retry_after_ms: "700" })) >= 690);
    assert((await timed({ status: 429, retry_after: "1" })) >= 990);
    await timed({ status: 400, should_retry: true, retry_after_ms: "10" });
    await rules({ on: ["create"], times: 2, fault: { status: { status: 529, should_retry: false } } });
    await fails(Anthropic.OverloadedError, () => client.messages.batches.create({ requests: requests(1) }));
    await clearRules();
  },

  async connectionsBreak() {
    const client = connect({ maxRetries: 0 });
    await rules({ on: ["retrieve"], fault: { reset: { when: "answer" } } });
    await fails(Anthropic.APIConnectionError, () => client.messages.batches.retrieve("msgbatch_none"));
    await rules({ on: ["list"], fault: "hang" });
    await fails(Anthropic.APIConnectionTimeoutError, () => client.messages.batches.list({}, { timeout: 300 }));
    const ended = await waitFor(client, (await client.messages.batches.create({ requests: requests(30) })).id);
    const download = () => collect(client.messages.batches.results(ended.id));
    await rules({ on: ["results"], fault: { lines: { what: "reset", at: [7] } } });
    await fails(Error, download);
    await rules({ on: ["results"], fault: { redirect: {} } });
    assert.equal((await download()).length, 30);
    for (const what of ["no_newline", "crlf", "line_separator", "result_type", "block_type"]) {
      await rules({ on: ["results"], fault: { lines: { what, at: [29] } } });
      assert.equal((await download()).length, 30, what);
    }
  },

  async messagesTokensAndModels() {
    const client = connect();
    const messages = [{ role: "user", content: "Foxes jump over dogs." }];
    const message = await client.messages.create({ model: "claude-haiku-5-5", max_tokens: 100, messages });
    assert.equal(message.content[0].text, "Foxes jump over dogs.");
    assert.equal(message.usage.service_tier, "standard");
    const count = await client.messages.countTokens({ model: "claude-haiku-5-5", messages });
    assert.equal(count.input_tokens, message.usage.input_tokens);
    const names = (await collect(client.models.list({ limit: 5 }))).map((model) => model.id);
    assert(names.includes("claude-haiku-5-5") && names.length > 5);
    assert.match((await client.models.retrieve("claude-haiku-4-5")).id, /^claude-haiku-4-5-/);
  },

  async limitsAndReports() {
    const client = connect({ apiKey: "sk-ant-admin01-walk" });
    const limits = await collect(client.organization.rateLimits.list({ limit: 2 }));
    const batchLimits = limits.find((entry) => entry.group.type === "batch").limits;
    assert(batchLimits.some(({ type, value }) => type === "enqueued_batch_requests" && value === 500_000));
    const hour = 3_600_000;
    const span = {
      starting_at: new Date(Date.now() - 2 * hour).toISOString(),
      ending_at: new Date(Date.now() + 2 * hour).toISOString(),
    };
    const { usage, cost } = client.beta.organization.analytics;
    const rows = await collect(usage.list({ ...span, group_by: ["service_tier", "model"], limit: 1 }));
    const batch = rows.find((row) => row.group.service_tier === "batch");
    assert(batch.usage.requests > 0 && batch.usage.total_tokens > 0);
    assert.equal(batch.group.model, "claude-haiku-5-5");
    const costs = await collect(cost.list({ ...span, group_by: ["service_tier"] }));
    assert(costs.every((row) => Number(row.cost.amount) > 0 && row.cost.currency === "USD"));
    // The older family has no place in the SDK; it is called as it is documented.
    const query = { starting_at: new Date(Date.now() - 24 * hour).toISOString() };
    for (const path of ["usage_report/messages", "cost_report"]) {
      const page = await client.get(`/v1/organizations/${path}`, { query });
      assert(page.data.at(-1).results.length > 0, path);
    }
  },
};

let failed = 0;
for (const [name, check] of Object.entries(checks)) {
  try {
    await check();
    console.log(`ok      ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${name}`);
    console.error(error);
    await clearRules();
  }
}
console.log(`${Object.keys(checks).length - failed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
