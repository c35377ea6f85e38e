// Before something is done with every job that matches: how many they are, counted by the server.

import { useQuery } from "@tanstack/react-query";
import { type Action, JOB_FILTER, type JobFilter } from "../../api/jobs";
import { previewQuery } from "../../api/operations";
import { printBox } from "../../lib/filter";
import { plural } from "../../lib/number";
import { Button } from "../../ui/Button";
import { Confirm, Dialog } from "../../ui/Dialog";
import { ProblemNote } from "../../ui/ProblemNote";

const VERB: Record<Action, string> = { cancel: "Cancel", retry: "Retry" };

export function AllDialog(props: {
  action: Action;
  filter: JobFilter;
  onConfirm: () => void;
  onClose: () => void;
}) {
  const { action, filter, onConfirm, onClose } = props;
  const preview = useQuery(previewQuery(action, filter));
  const title = `${VERB[action]} all jobs that match?`;
  const words = printBox(JOB_FILTER, filter);
  const every = action === "cancel" ? "Every job that has not ended" : "Every failed or canceled job";
  const which = words ? (
    <p>
      {every}, of those that match <code className="break-all font-mono text-meta">{words}</code>.
    </p>
  ) : (
    <p>{every} of yours.</p>
  );

  if (!preview.data)
    return (
      <Dialog title={title} onClose={onClose}>
        {preview.isError && !preview.isFetching ? (
          <ProblemNote error={preview.error} onRetry={() => void preview.refetch()} />
        ) : (
          <p role="status" className="text-ink2">
            Counting them
          </p>
        )}
        <Foot onClose={onClose} />
      </Dialog>
    );

  const { jobs, all_counted: whole } = preview.data;
  if (jobs === 0 && whole)
    return (
      <Dialog title={title} onClose={onClose}>
        <p className="text-ink2">
          {action === "cancel"
            ? "All jobs that match have ended already."
            : "No failed or canceled job matches."}
        </p>
        <Foot onClose={onClose} />
      </Dialog>
    );

  const many = `${whole ? "" : "at least "}${plural(jobs, "job")}`;
  return (
    <Confirm
      title={`${VERB[action]} ${many}?`}
      action={`${VERB[action]} ${many}`}
      danger={action === "cancel"}
      typed={jobs > 1000 || !whole ? action : undefined}
      onConfirm={onConfirm}
      onClose={onClose}
    >
      {which}
      <p className="mt-2">
        {action === "cancel"
          ? "What waits never runs. What is at Anthropic already ends there and is paid for, but its answer is set aside."
          : "They are queued again with the same prompt. New attempts are paid for."}
      </p>
      <p className="mt-2">
        The server goes through them, also when this page is closed. Jobs that come from now on are not
        touched.
      </p>
    </Confirm>
  );
}

function Foot({ onClose }: { onClose: () => void }) {
  return (
    <div className="mt-5 flex justify-end">
      <Button onClick={onClose}>Back</Button>
    </div>
  );
}
