import clsx from "clsx";
import { useState } from "react";
import { clockTime, useNow } from "../lib/time";
import { useConnection } from "../live/hooks";
import { type Connection, live, type Phase } from "../live/live";
import { toast } from "../ui/Toast";

const WORDS: Record<Phase, string> = {
  off: "Not connected",
  connecting: "Connecting",
  live: "Live",
  catching_up: "Catching up",
  reconnecting: "Reconnecting",
  polling: "Read every 10 s",
  paused: "Paused",
  held: "Held",
  stopped: "Stopped",
  signed_out: "Signed out",
};

/** Words for how the connection stands, and of when the data is where it is not right now. */
export function connectionWords({ phase, asOf }: Connection, waited: number): string {
  const old = asOf !== undefined && (phase !== "reconnecting" || waited > 10_000) && phase !== "catching_up";
  return old && phase !== "live" ? `${WORDS[phase]}, data from ${clockTime(asOf)}` : WORDS[phase];
}

/** `l`: holds what is shown, or goes on. */
export function holdOrResume() {
  if (live.connection.current().phase === "held") live.resume();
  else if (!live.hold()) toast("Only a live page can be held", { detail: "Wait until it says Live." });
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
        <span role="status" className="flex-1">
          {connectionWords(connection, waited)}
        </span>
        {(phase === "live" || phase === "held") && (
          <button
            type="button"
            aria-keyshortcuts="l"
            title={phase === "held" ? "Go on (l)" : "Nothing moves until you go on (l)"}
            className="-my-1 min-h-6 px-1 text-tide-ink underline"
            onClick={holdOrResume}
          >
            {phase === "held" ? "Resume" : "Hold"}
          </button>
        )}
      </p>
      {problem && <p className="mt-1 text-ink3 text-meta">{problem}</p>}
    </div>
  );
}
