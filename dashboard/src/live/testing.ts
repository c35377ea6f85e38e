// For tests: a server's end of `/v1/live`, and a frame of the screen that comes when it is told to.

import { vi } from "vitest";
import type { Frame, JobRow, Say } from "./protocol";

export class FakeSocket {
  static readonly OPEN = 1;
  static all: FakeSocket[] = [];
  static get last(): FakeSocket {
    const last = FakeSocket.all.at(-1);
    if (!last) throw new Error("nobody has connected");
    return last;
  }

  readyState = 0;
  said: Say[] = [];
  onopen: (() => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  readonly url: string;
  readonly protocol: string;

  constructor(url: string | URL, protocol: string) {
    this.url = String(url);
    this.protocol = protocol;
    FakeSocket.all.push(this);
  }

  send(text: string) {
    this.said.push(JSON.parse(text));
  }
  close() {
    this.readyState = 3;
  }

  /** The server accepts. */
  open() {
    this.readyState = 1;
    this.onopen?.();
  }
  frame(frame: Frame) {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }
  hello(cursor = "e.1", build = "1") {
    this.open();
    this.frame({ t: "hello", cursor, oldest: "e.1", heartbeat_s: 20, build });
  }
  rows(cursor: string, ...jobs: JobRow[]) {
    this.frame({ t: "rows", cursor, jobs });
  }
  cut(code = 1006) {
    this.readyState = 3;
    this.onclose?.({ code });
  }
}

export const row = (id: string, rev: number, state: JobRow["state"]): JobRow => ({
  id,
  rev,
  state,
  at: "2026-11-28T12:00:00Z",
});

let frames: FrameRequestCallback[] = [];

/** The next frame of the screen. */
export function paint() {
  const now = frames;
  frames = [];
  for (const frame of now) frame(0);
}

let visibility: DocumentVisibilityState = "visible";

export function showTab(shown: boolean) {
  visibility = shown ? "visible" : "hidden";
  document.dispatchEvent(new Event("visibilitychange"));
}

/** Before each test. */
export function fakeWorld() {
  FakeSocket.all = [];
  frames = [];
  visibility = "visible";
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "Date"] });
  vi.setSystemTime("2026-11-28T12:00:00Z");
  vi.stubGlobal("WebSocket", FakeSocket);
  vi.stubGlobal("requestAnimationFrame", (call: FrameRequestCallback) => frames.push(call));
  vi.stubGlobal("cancelAnimationFrame", (nth: number) => {
    frames[nth - 1] = () => {};
  });
  vi.spyOn(Math, "random").mockReturnValue(1);
  vi.spyOn(document, "visibilityState", "get").mockImplementation(() => visibility);
}
