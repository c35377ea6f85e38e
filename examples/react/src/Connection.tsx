import { useSyncExternalStore } from "react";
import type { Jobs } from "./jobs";
import { store } from "./store";

const clock = store({ now: Date.now() }, () => {
  clock.set({ now: Date.now() });
  const ticking = setInterval(() => clock.set({ now: Date.now() }), 1000);
  return () => clearInterval(ticking);
});

function Elapsed({ since }: { since: number }) {
  const { now } = useSyncExternalStore(clock.subscribe, clock.current);
  const seconds = Math.max(0, Math.floor((now - since) / 1000));
  return seconds < 90 ? `${seconds} s` : `${Math.round(seconds / 60)} min`;
}

/** Says whether the list is right at this moment, and since when it is not. */
export function Connection({ live, loaded, since }: Jobs) {
  const word = live ? "Live" : loaded ? "Reconnecting" : "Connecting";
  return (
    <p className="connection" data-live={live}>
      <span className="dot" aria-hidden="true" />
      <span role="status">{word}</span>
      {!live && (
        <span aria-hidden="true">
          {" "}
          since <Elapsed since={since} />
        </span>
      )}
    </p>
  );
}
