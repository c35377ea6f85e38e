// What is done with several jobs at once: asked for first, done in as few calls as the API allows, and told
// with the reason of each that was left as it is.

import { lazy, Suspense, useState } from "react";
import { type Action, can, changeJobs, type Job, MANY, type NotDone } from "../../api/jobs";
import { useKeys } from "../../lib/keys";
import { count, plural } from "../../lib/number";
import { live } from "../../live/live";
import { Button } from "../../ui/Button";
import { Confirm } from "../../ui/Dialog";
import { toast, toastProblem } from "../../ui/Toast";

const LeftOver = lazy(() => import("./LeftOver").then(({ LeftOver }) => ({ default: LeftOver })));

const DONE = { cancel: "canceled", retry: "queued again" } as const;

export const didWords = (action: Action, n: number) => `${plural(n, "job")} ${DONE[action]}`;

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
  const [leftOver, setLeftOver] = useState<{ action: Action; done: number; left: NotDone[] }>();

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
    const left: NotDone[] = [];
    let tried = 0;
    try {
      while (tried < chosen.length) {
        setProgress({ done: tried, of: chosen.length });
        const some = chosen.slice(tried, tried + MANY);
        left.push(...(await changeJobs(action, some)));
        tried += some.length;
      }
    } catch (error) {
      toastProblem(`${plural(chosen.length - tried, "job")} could not be ${DONE[action]}`, error);
    }
    setProgress(undefined);
    const done = tried - left.length;
    if (left.length > 0) setLeftOver({ action, done, left });
    else if (done > 0) toast(didWords(action, done));
    if (tried === chosen.length) onEnd();
  }

  const dialog = leftOver ? (
    <Suspense>
      <LeftOver {...leftOver} onClose={() => setLeftOver(undefined)} />
    </Suspense>
  ) : (
    asking && (
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
    )
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
        {progress
          ? `${count(progress.done)} of ${count(progress.of)} done`
          : `${plural(selected, "job")} selected`}
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
