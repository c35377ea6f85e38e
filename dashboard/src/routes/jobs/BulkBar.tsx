// What is done with several jobs at once: asked for first, a few at a time, and told in one sentence.

import { useState } from "react";
import { can, cancelJob, type Job, retryJob } from "../../api/jobs";
import { asProblem } from "../../api/problem";
import { useKeys } from "../../lib/keys";
import { plural } from "../../lib/number";
import { live } from "../../live/live";
import { Button } from "../../ui/Button";
import { Confirm } from "../../ui/Dialog";
import { toast } from "../../ui/Toast";

const AT_ONCE = 4;

type Action = "cancel" | "retry";

const DONE = { cancel: "canceled", retry: "queued again" } as const;

async function each(action: Action, ids: readonly string[], onDone: (done: number) => void) {
  const call = action === "cancel" ? cancelJob : retryJob;
  const left = [...ids];
  const problems = new Map<string, number>();
  let done = 0;
  const one = async () => {
    for (let id = left.shift(); id !== undefined; id = left.shift()) {
      try {
        await call(id);
      } catch (error) {
        const { message } = asProblem(error);
        problems.set(message, (problems.get(message) ?? 0) + 1);
      }
      done += 1;
      onDone(done);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, one));
  const failed = [...problems.values()].reduce((sum, n) => sum + n, 0);
  const detail = [...problems].map(([message, n]) => `${plural(n, "job")}: ${message}`).join(" ");
  toast(`${plural(ids.length - failed, "job")} ${DONE[action]}`, { detail, bad: failed > 0 });
}

/** Of these jobs, those with which that may be done now. */
const possible = (action: Action, ids: readonly string[]) =>
  ids.filter((id) => {
    const job: Job | undefined = live.jobs.get(id);
    return job && can[action](job);
  });

/** `ids`: what is selected, or else what is open. */
export function useBulk(ids: readonly string[], onEnd: () => void) {
  const [asking, setAsking] = useState<{ action: Action; ids: string[] }>();
  const [progress, setProgress] = useState<{ done: number; of: number }>();

  function ask(action: Action) {
    if (ids.length === 0 || progress) return;
    const fitting = possible(action, ids);
    if (fitting.length > 0) setAsking({ action, ids: fitting });
    else
      toast(
        action === "cancel"
          ? "All of these have ended already"
          : "Only failed and canceled jobs are retried here",
      );
  }
  useKeys({ c: () => ask("cancel"), r: () => ask("retry") });

  async function run(action: Action, chosen: string[]) {
    setProgress({ done: 0, of: chosen.length });
    await each(action, chosen, (done) => setProgress({ done, of: chosen.length }));
    setProgress(undefined);
    onEnd();
  }

  const dialog = asking && (
    <Confirm
      title={`${asking.action === "cancel" ? "Cancel" : "Retry"} ${plural(asking.ids.length, "job")}?`}
      action={`${asking.action === "cancel" ? "Cancel" : "Retry"} ${plural(asking.ids.length, "job")}`}
      danger={asking.action === "cancel"}
      typed={asking.ids.length > 1000 ? asking.action : undefined}
      onConfirm={() => void run(asking.action, asking.ids)}
      onClose={() => setAsking(undefined)}
    >
      {asking.action === "cancel" ? (
        <p>
          What waits never runs. What is at Anthropic already ends there and is paid for, but its answer is
          set aside.
        </p>
      ) : (
        <p>They are queued again with the same prompt. New attempts are paid for.</p>
      )}
      {asking.ids.length < ids.length && (
        <p className="mt-2">
          {plural(ids.length - asking.ids.length, "other job")} of the selection cannot be, and stays as it
          is.
        </p>
      )}
    </Confirm>
  );
  return { ask, dialog, progress };
}

export function BulkBar({
  selected,
  bulk,
  onClear,
}: {
  selected: number;
  bulk: Pick<ReturnType<typeof useBulk>, "ask" | "progress">;
  onClear: () => void;
}) {
  const { progress } = bulk;
  return (
    <div className="flex h-11 shrink-0 items-center gap-2 border-line border-t bg-raised px-4 md:px-6">
      <p className="mr-2" role="status">
        {progress ? `${progress.done} of ${progress.of} done` : `${plural(selected, "job")} selected`}
      </p>
      <Button disabled={progress !== undefined} onClick={() => bulk.ask("retry")}>
        Retry
      </Button>
      <Button disabled={progress !== undefined} onClick={() => bulk.ask("cancel")}>
        Cancel jobs
      </Button>
      <Button kind="ghost" onClick={onClear}>
        Clear selection
      </Button>
    </div>
  );
}
