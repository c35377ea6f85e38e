// What is done with several jobs at once: asked for first, done in as few calls as the API allows, and told
// with the reason of each that was left as it is.

import { lazy, Suspense, useState } from "react";
import { type Action, can, changeJobs, type Job, MANY, type NotDone } from "../../api/jobs";
import { useMay } from "../../api/session";
import { useKeys } from "../../lib/keys";
import { count, plural } from "../../lib/number";
import { live } from "../../live/live";
import { Button } from "../../ui/Button";
import { toast, toastProblem } from "../../ui/Toast";
import { doneWord } from "./words";

const dialogs = () => import("./BulkDialogs");
const Ask = lazy(() => dialogs().then(({ Ask }) => ({ default: Ask })));
const LeftOver = lazy(() => dialogs().then(({ LeftOver }) => ({ default: LeftOver })));

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
  const may = useMay("jobs:write");
  useKeys(may ? { c: () => ask("cancel"), r: () => ask("retry") } : {});

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
      toastProblem(`${plural(chosen.length - tried, "job")} could not be ${doneWord(action)}`, error);
    }
    setProgress(undefined);
    const done = tried - left.length;
    if (left.length > 0) setLeftOver({ action, done, left });
    else if (done > 0) toast(`${plural(done, "job")} ${doneWord(action)}`);
    if (tried === chosen.length) onEnd();
  }

  const dialog = (
    <Suspense>
      {asking && (
        <Ask
          action={asking.action}
          n={asking.ids.length}
          others={ids.length - asking.ids.length}
          onConfirm={() => void run(asking.action, asking.ids)}
          onClose={() => setAsking(undefined)}
        />
      )}
      {leftOver && <LeftOver {...leftOver} onClose={() => setLeftOver(undefined)} />}
    </Suspense>
  );
  return { may, ask, dialog, progress };
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
