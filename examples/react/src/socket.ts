// One connection to offpeak's WebSocket, and everything that ends one.
import type { Client } from "./client";
import type { Row } from "./jobs";

const GREETED = 15_000; // ticket, handshake and first frame together
const SILENT = 45_000; // a beat comes every 20 s

/** What any frame may have that this page acts on. */
export type Frame = { t: string; cursor?: string; jobs?: Row[]; retry_ms?: number };

/** `end` says that it is of no use; `signal` is aborted when it has ended, however. */
export type Line = { hangUp: () => void; end: (problem?: string) => void; signal: AbortSignal };

/** Connects, says what `hello` gives, and hands each frame to `take`. Calls `lost` once, unless it was hung up. */
export function dial(offpeak: Client, hello: () => object, take: (frame: Frame) => void, lost: (problem?: string) => void): Line {
  const over = new AbortController();
  const { signal } = over;
  let refused = true; // until the first frame: a browser does not say why it got none
  let socket: WebSocket | undefined;
  let silence = setTimeout(() => end(), GREETED);

  function hangUp() {
    over.abort();
    clearTimeout(silence);
    if (socket) socket.onclose = socket.onmessage = null;
    socket?.close();
  }

  function end(problem?: string, ticketIsOver = refused) {
    if (signal.aborted) return;
    if (ticketIsOver) offpeak.drop();
    hangUp();
    lost(problem);
  }

  offpeak.ticket().then(
    ({ url, ticket }) => {
      if (signal.aborted) return;
      socket = new WebSocket(`${url.replace(/^http/, "ws")}/v1/live`, ["offpeak.live.v1", `offpeak.ticket.${ticket}`]);
      socket.onopen = () => socket?.send(JSON.stringify(hello()));
      socket.onclose = ({ code, reason }) => end(reason, refused || code === 4401);
      socket.onmessage = ({ data }) => {
        refused = false;
        clearTimeout(silence);
        silence = setTimeout(() => end(), SILENT);
        take(JSON.parse(data));
      };
    },
    (error: Error) => end(error.message),
  );
  return { hangUp, end, signal };
}
