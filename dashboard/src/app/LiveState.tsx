import clsx from "clsx";
import { useState } from "react";
import { clockTime, useNow } from "../lib/time";
import { useConnection } from "../live/hooks";
import type { Connection, Phase } from "../live/live";

const WORDS: Record<Phase, string> = {
  off: "Not connected",
  connecting: "Connecting",
  live: "Live",
  catching_up: "Catching up",
  reconnecting: "Reconnecting",
  polling: "Read every 10 s",
  paused: "Paused",
  stopped: "Stopped",
  signed_out: "Signed out",
};

/** Words for how the connection stands, and of when the data is where it is not right now. */
export function connectionWords({ phase, asOf }: Connection, waited: number): string {
  const old = asOf !== undefined && (phase !== "reconnecting" || waited > 10_000) && phase !== "catching_up";
  return old && phase !== "live" ? `${WORDS[phase]}, data from ${clockTime(asOf)}` : WORDS[phase];
}

export function LiveState() {
  const connection = useConnection();
  return connection.phase === "reconnecting" ? (
    <Waiting {...connection} />
  ) : (
    <Said {...connection} waited={0} />
  );
}

function Waiting(connection: Connection) {
  const now = useNow();
  const [since] = useState(now);
  return <Said {...connection} waited={now - (connection.asOf ?? since)} />;
}

function Said({ waited, ...connection }: Connection & { waited: number }) {
  const { phase, problem } = connection;
  return (
    <div>
      <p className="flex items-start gap-2 text-ink2 text-meta">
        <span
          aria-hidden="true"
          className={clsx(
            "mt-1 size-2 shrink-0 rounded-full",
            phase === "live"
              ? "bg-gain"
              : phase === "connecting" || phase === "catching_up"
                ? "animate-breathe bg-tide"
                : phase === "reconnecting" || phase === "polling"
                  ? "bg-lamp"
                  : "bg-wait",
          )}
        />
        <span role="status">{connectionWords(connection, waited)}</span>
      </p>
      {problem && <p className="mt-1 text-ink3 text-meta">{problem}</p>}
    </div>
  );
}
