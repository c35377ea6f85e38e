import { CirclePause } from "lucide-react";
import type { UpstreamStatus } from "../../api/operator";
import { count, plural } from "../../lib/number";
import { absolute } from "../../lib/time";
import { Section } from "../../ui/Panel";
import { When } from "../../ui/When";
import { Meter } from "./Meter";

/** Where jobs are sent, and how much of each limit is in use. */
export function Upstreams({ upstreams }: { upstreams: readonly UpstreamStatus[] }) {
  return (
    <Section title="Upstreams">
      {upstreams.length === 0 ? (
        <p className="text-ink2">
          There is none yet: nothing is sent. The server makes one of its configuration when it starts.
        </p>
      ) : (
        <ul className="flex flex-col gap-4">
          {upstreams.map((upstream) => (
            <Upstream key={upstream.id} upstream={upstream} />
          ))}
        </ul>
      )}
    </Section>
  );
}

function Upstream({ upstream }: { upstream: UpstreamStatus }) {
  const { name, pause, open_batches, listed_at } = upstream;
  return (
    <li className="rounded-lg border border-line bg-raised p-4">
      <div className="mb-3 flex flex-wrap items-baseline justify-between gap-x-4 gap-y-1">
        <h3 className="font-semibold">{name}</h3>
        <p className="text-ink3 text-meta">
          {plural(open_batches, "batch is", "batches are")} open there;{" "}
          {listed_at ? (
            <>
              its list was last read whole <When at={listed_at} />
            </>
          ) : (
            "its list was not read yet"
          )}
        </p>
      </div>
      {pause && (
        <div role="alert" className="mb-3 flex gap-2">
          <CirclePause className="mt-px size-4 shrink-0 text-warn" aria-hidden="true" />
          <p className="min-w-0">
            <strong className="font-semibold">Paused: nothing is sent there.</strong> {pause.reason}{" "}
            <span className="text-ink2">
              The next try is <When at={pause.until} />, at {absolute(pause.until)}.
            </span>
          </p>
        </div>
      )}
      <div className="grid grid-cols-[repeat(auto-fit,minmax(15rem,1fr))] gap-x-8 gap-y-3">
        <Meter
          value={upstream.creates_last_minute}
          max={upstream.creates_per_minute}
          words={`${count(upstream.creates_last_minute)} of ${count(upstream.creates_per_minute)} creates in the last minute`}
          full="at the limit: batches wait"
        />
        <Meter
          value={upstream.queued_items}
          max={upstream.max_queued_items}
          words={`${count(upstream.queued_items)} of ${count(upstream.max_queued_items)} requests queued there`}
          full="at the limit: jobs wait"
        />
      </div>
    </li>
  );
}
