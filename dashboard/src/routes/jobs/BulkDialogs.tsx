import type { Action, NotDone } from "../../api/jobs";
import { count, plural } from "../../lib/number";
import { useHref, useUrl } from "../../lib/url";
import { Button } from "../../ui/Button";
import { Confirm, Dialog } from "../../ui/Dialog";
import { doneWord } from "./words";

/** Before anything is done. `others`: of the selection, those with which it cannot be done. */
export function Ask(props: {
  action: Action;
  n: number;
  others: number;
  onConfirm: () => void;
  onClose: () => void;
}) {
  const { action, n, others, onConfirm, onClose } = props;
  const words = `${action === "cancel" ? "Cancel" : "Retry"} ${plural(n, "job")}`;
  return (
    <Confirm
      title={`${words}?`}
      action={words}
      danger={action === "cancel"}
      typed={n > 1000 ? action : undefined}
      onConfirm={onConfirm}
      onClose={onClose}
    >
      {action === "cancel" ? (
        <p>
          What waits never runs. What is at Anthropic already ends there and is paid for, but its answer is
          set aside.
        </p>
      ) : (
        <p>They are queued again with the same prompt. New attempts are paid for.</p>
      )}
      {others > 0 && (
        <p className="mt-2">{plural(others, "other job")} of the selection cannot be, and stays as it is.</p>
      )}
    </Confirm>
  );
}

/** So many are listed; their reasons are all counted. */
const LISTED = 200;

/** What was done, and of every other job why not. */
export function LeftOver(props: { action: Action; done: number; left: NotDone[]; onClose: () => void }) {
  const { action, done, left, onClose } = props;
  const href = useHref();
  const [, setUrl] = useUrl();
  const reasons = new Map<string, NotDone[]>();
  for (const one of left) reasons.set(one.detail, [...(reasons.get(one.detail) ?? []), one]);
  let room = LISTED;
  return (
    <Dialog title={`${done > 0 ? plural(done, "job") : "No job"} ${doneWord(action)}`} onClose={onClose}>
      <p className="text-ink2">
        {plural(left.length, "job was left as it is", "jobs were left as they are")}.
      </p>
      <div className="mt-3 max-h-80 overflow-y-auto">
        {[...reasons].map(([reason, jobs]) => {
          const listed = jobs.slice(0, room);
          room -= listed.length;
          return (
            <section key={reason} aria-label={reason} className="mb-4">
              <h3 className="font-semibold first-letter:uppercase">
                {reason} <span className="font-normal text-ink3">· {plural(jobs.length, "job")}</span>
              </h3>
              <ul className="mt-1">
                {listed.map(({ id }) => (
                  <li key={id}>
                    <a
                      className="break-all font-mono text-meta text-tide-ink underline"
                      href={href("/jobs", { id })}
                      onClick={(event) => {
                        if (event.metaKey || event.ctrlKey || event.shiftKey) return;
                        event.preventDefault();
                        onClose();
                        setUrl({ id });
                      }}
                    >
                      {id}
                    </a>
                  </li>
                ))}
              </ul>
              {listed.length < jobs.length && (
                <p className="text-ink3 text-meta">and {count(jobs.length - listed.length)} more</p>
              )}
            </section>
          );
        })}
      </div>
      <div className="flex justify-end">
        <Button kind="main" onClick={onClose}>
          Close
        </Button>
      </div>
    </Dialog>
  );
}
