import clsx from "clsx";
import { ChevronRight } from "lucide-react";
import type { ReactNode } from "react";
import type { BatchState } from "../../api/batches";
import type { Counts } from "../../api/groups";
import type { JobState } from "../../api/jobs";
import type { Overview, Window } from "../../api/overview";
import { count, plural } from "../../lib/number";
import { ms, short, useNow } from "../../lib/time";
import { Glyph } from "../../ui/Glyph";
import { Go } from "../../ui/Go";
import { perTime, sum } from "./rates";
import { WINDOW_WORDS } from "./WindowPick";

/** From waiting to done, each a link to those jobs. The numbers are live; rates are of the window. */
export function Flow({ overview, counts, window }: { overview: Overview; counts: Counts; window: Window }) {
  const { pace, waiting_since: since, batches } = overview;
  const now = useNow();
  const span = Math.max(1, ms(overview.as_of) - ms(pace.from));
  const rate = (steps: readonly number[]) => perTime(sum(steps), span);
  const inBatches = (...states: BatchState[]) => {
    const n = sum(batches.filter(({ state }) => states.includes(state)).map((open) => open.batches));
    return n > 0 && plural(n, "batch", "batches");
  };
  const sending = inBatches("planned", "sending", "uncertain");
  const ended = inBatches("ended");
  return (
    <section aria-label="From waiting to done" className="border-line2 border-b">
      <ol className="grid grid-cols-2 md:flex">
        <Step name="Waiting" state="queued" n={counts.queued}>
          {since && counts.queued > 0 && <span>oldest {short(now - ms(since))}</span>}
          {sending && <span>{sending} being sent</span>}
          <span>{rate(pace.accepted)} accepted</span>
        </Step>
        <Step name="At Anthropic" state="submitted" n={counts.submitted}>
          <span>{inBatches("in_progress", "canceling") || (counts.submitted === 0 && "no batch")}</span>
        </Step>
        <Step name="Processing" state="processing" n={counts.processing}>
          <span>results read, or called directly</span>
          {ended && <span>{ended} ended</span>}
        </Step>
        <Step name="Completed" state="completed" n={counts.completed}>
          <span>{rate(pace.completed)}</span>
        </Step>
        <Step name="Failed" state="failed" n={counts.failed} beside>
          <span>{rate(pace.failed)}</span>
        </Step>
        <Step name="Canceled" state="canceled" n={counts.canceled} beside>
          <span>{rate(pace.canceled)}</span>
        </Step>
      </ol>
      <p className="sr-only">Rates are of the {WINDOW_WORDS[window]}.</p>
    </section>
  );
}

function Step(props: {
  name: string;
  state: JobState;
  n: number;
  /** No step on the way, but where it ended otherwise. */
  beside?: boolean;
  children: ReactNode;
}) {
  const { name, state, n, beside = false } = props;
  return (
    <li
      className={clsx(
        "relative min-w-0 border-line2 border-b md:flex-1 md:border-b-0",
        beside && "md:flex-[0.7] md:border-l",
      )}
    >
      <Go to="/jobs" search={{ state }} plain className="block h-full px-4 py-4 hover:bg-sunk md:px-6">
        <span className="flex items-center gap-1.5 text-ink2">
          <Glyph state={state} className="size-3.5" />
          <span className="truncate">{name}</span>
        </span>
        <span
          className={clsx(
            "mt-1 block font-semibold text-figure",
            n === 0 && "text-ink3",
            state === "failed" && n > 0 && "text-bad",
          )}
        >
          {count(n)}
        </span>
        <span className="mt-1 flex flex-col text-ink3 text-meta">{props.children}</span>
      </Go>
      {!beside && state !== "completed" && (
        <ChevronRight
          className="absolute top-5 -right-2 hidden size-4 text-ink3 md:block"
          aria-hidden="true"
        />
      )}
    </li>
  );
}
