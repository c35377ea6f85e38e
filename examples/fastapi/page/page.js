// One user's jobs by server-sent events, as docs/live.md describes them. No framework, no build.

const words = {
  queued: ["◌", "Queued"],
  submitted: ["◐", "With Claude"],
  processing: ["◐", "With Claude"],
  completed: ["✓", "Ready"],
  failed: ["✕", "Failed"],
  canceled: ["–", "Canceled"],
};
const at = (id) => document.getElementById(id);
const jobs = new Map(); // id → {rev, state, item}
let ticket; // {url, ticket, user}
let cursor; // where the next connection goes on
let listed = false; // the list was read: what comes after `cursor` keeps it right
let attempt = 0;
let pause = 0; // what the server asked for
let source;
let silence;
let run = 0;
let retry;

async function ask(address, options) {
  const answer = await fetch(address, { ...options, signal: AbortSignal.timeout(15_000) });
  const found = await answer.json();
  if (answer.ok) return found;
  const { detail } = found;
  const text = typeof detail === "string" ? detail : detail.map((fault) => fault.msg).join(" ");
  throw Object.assign(new Error(text), { status: answer.status });
}

/** Reads from offpeak; with a new ticket when the old one is over. */
async function offpeak(path) {
  const read = () => ask(ticket.url + path, { headers: { authorization: `Bearer ${ticket.ticket}` } });
  try {
    return await read();
  } catch (error) {
    if (error.status !== 401) throw error;
    ticket = await ask("/ticket");
    return read();
  }
}

/** Takes a row if it is newer than what is shown. Texts are text nodes, never markup. */
function take({ id, rev, state, at: time }) {
  const job = jobs.get(id) ?? { rev: -1, item: at("job").content.cloneNode(true).firstElementChild };
  if (rev <= job.rev) return;
  const [glyph, word] = words[state] ?? ["?", state];
  const { item } = job;
  item.dataset.state = state;
  item.dataset.job = id;
  item.querySelector(".glyph").textContent = glyph;
  item.querySelector(".word").textContent = word;
  item.querySelector("time").dateTime = time;
  item.querySelector("time").textContent = new Date(time).toLocaleTimeString([], { timeStyle: "short" });
  // Ids begin with their time: the newest stands first.
  if (!jobs.has(id)) at("jobs").insertBefore(item, [...at("jobs").children].find((other) => other.dataset.job < id) ?? null);
  jobs.set(id, { rev, state, item });
  at("empty").hidden = true;
  if (state === "completed" || state === "failed") show(id, item.querySelector(".text"));
}

async function show(id, place) {
  try {
    const { text, reason, standin } = await offpeak(`/v1/jobs/${id}/result`);
    place.textContent = (standin ? "Made up by the stand-in: " : "") + (text ?? reason);
  } catch (error) {
    place.textContent = error.message;
  }
}

/** The newest hundred. A page may be short and not the last. */
async function list() {
  listed = false;
  for (let found = [], next = ""; next !== null; ) {
    const page = await offpeak(`/v1/jobs?limit=100${next && `&cursor=${encodeURIComponent(next)}`}`);
    found = found.concat(page.data);
    next = found.length < 100 ? page.next_cursor : null;
    for (const job of page.data) take({ ...job, rev: 0, at: job.ended_at ?? job.created_at });
  }
  listed = true;
}

function say(word, live = false) {
  at("connection").textContent = word;
  at("connection").dataset.live = live;
}

function lost() {
  run++; // what this one awaits does not count
  source?.close();
  source = undefined;
  clearTimeout(silence);
  if (at("connection").dataset.live !== "false") {
    say(`Reconnecting since ${new Date().toLocaleTimeString([], { timeStyle: "medium" })}`);
  }
  // Full jitter, so that a thousand pages do not return at once.
  clearTimeout(retry);
  retry = setTimeout(connect, pause + Math.random() * Math.min(30_000, 500 * 2 ** attempt++));
  pause = 0;
}

async function connect() {
  clearTimeout(retry);
  retry = undefined;
  const mine = ++run;
  silence = setTimeout(lost, 15_000); // ticket, connection and first frame together
  try {
    const fresh = await ask("/ticket");
    if (mine !== run) return;
    ticket = fresh;
  } catch {
    return mine === run && lost();
  }
  at("user").textContent = ticket.user;
  const query = new URLSearchParams({ topics: `user:${ticket.user}`, mode: "view", ticket: ticket.ticket });
  if (cursor) query.set("cursor", cursor);
  source = new EventSource(`${ticket.url}/v1/events?${query}`);
  // It would come back by itself after a cut, but neither with another ticket nor after a refusal.
  source.onerror = lost;
  const on = (kind, act) =>
    source.addEventListener(kind, async ({ data }) => {
      const frame = JSON.parse(data);
      cursor = frame.cursor ?? cursor;
      clearTimeout(silence);
      silence = setTimeout(lost, 45_000); // a beat comes every 20 s
      try {
        await act?.(frame);
      } catch {
        if (mine === run) lost();
      }
    });
  on("hello", async () => {
    attempt = 0;
    if (!listed) await list();
    if (mine === run) say("Live", true);
  });
  on("rows", (frame) => frame.jobs?.forEach(take));
  on("resync", () => {
    for (const { item } of jobs.values()) item.remove();
    jobs.clear();
    return list();
  });
  on("bye", (frame) => {
    pause = frame.retry_ms ?? 0;
  });
  for (const kind of ["counts", "beat"]) on(kind);
}

for (const event of ["online", "focus"]) addEventListener(event, () => retry && connect());

at("compose").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = at("text");
  // The same text sent again, after an error, is the same wish.
  text.dataset.once ??= crypto.randomUUID();
  const headers = { "content-type": "application/json", "idempotency-key": text.dataset.once };
  try {
    await ask("/summaries", { method: "POST", headers, body: JSON.stringify({ text: text.value }) });
    text.value = "";
    delete text.dataset.once;
    at("problem").textContent = "";
  } catch (error) {
    at("problem").textContent = error.message;
  }
});
at("text").addEventListener("input", ({ target }) => {
  delete target.dataset.once;
  at("problem").textContent = "";
});

connect();
