// One WebSocket to `/v1/live`, and everything that ends one. It never reconnects: that is live.ts.

import { at } from "../lib/root";
import { type Frame, PROTOCOL, readFrame, type Say } from "./protocol";

const GREETED = 15_000; // handshake and first frame together
const SILENT = 45_000; // a beat comes every 20 s

/** Why it ended. `greeted`: the server had said hello. A browser says every refusal as 1006. */
export type Lost = { code: number; greeted: boolean };

export type Line = { say: (message: Say) => void; hangUp: () => void };

/** Connects, says `hello` first, and hands each frame to `take`. Calls `lost` once, unless it was hung up. */
export function dial(hello: () => Say, take: (frame: Frame) => void, lost: (why: Lost) => void): Line {
  const url = new URL(at("/v1/live"), location.href);
  url.protocol = url.protocol.replace("http", "ws");
  const socket = new WebSocket(url, PROTOCOL);
  let greeted = false;
  let silence = setTimeout(() => end(1006), GREETED);

  function hangUp() {
    clearTimeout(silence);
    socket.onopen = socket.onclose = socket.onmessage = null;
    socket.close();
  }

  function end(code: number) {
    hangUp();
    lost({ code, greeted });
  }

  const say = (message: Say) => {
    if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
  };
  socket.onopen = () => say(hello());
  socket.onclose = ({ code }) => end(code);
  socket.onmessage = ({ data }) => {
    clearTimeout(silence);
    silence = setTimeout(() => end(1006), SILENT);
    const frame = readFrame(data);
    if (!frame) return;
    if (frame.t === "hello") greeted = true;
    take(frame);
  };
  return { say, hangUp };
}
