import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { cancelGroup, type Group, putGroup, retryGroup, unfinished } from "../../api/groups";
import { useKeys } from "../../lib/keys";
import { plural } from "../../lib/number";
import { Button } from "../../ui/Button";
import { Confirm } from "../../ui/Dialog";
import { toast, toastProblem } from "../../ui/Toast";

const MANY = 1000;

export function Actions({ group }: { group: Group }) {
  const [asking, setAsking] = useState<"cancel" | "retry">();
  const queries = useQueryClient();
  const open = unfinished(group.counts);
  const again = group.counts.failed + group.counts.canceled;
  const cancel = useMutation({
    mutationFn: () => cancelGroup(group.id),
    onSuccess: (done) => {
      putGroup(queries, done.group);
      toast(`${plural(done.canceled, "job")} canceled`);
    },
    onError: (error) => toastProblem("The group was not canceled", error),
  });
  const retry = useMutation({
    mutationFn: () => retryGroup(group.id),
    onSuccess: (done) => {
      putGroup(queries, done.group);
      toast(`${plural(done.retried, "job")} queued again`, {
        detail:
          done.in_flight > 0
            ? `${plural(done.in_flight, "job")} left as it is: an attempt is still at Anthropic. Retry again when it has ended.`
            : undefined,
      });
    },
    onError: (error) => toastProblem("The group was not retried", error),
  });
  const waits = cancel.isPending || retry.isPending;
  useKeys({
    ...(open > 0 && !waits && { c: () => setAsking("cancel") }),
    ...(again > 0 && !waits && { r: () => setAsking("retry") }),
  });
  return (
    <>
      {open > 0 && (
        <Button disabled={waits} aria-keyshortcuts="c" onClick={() => setAsking("cancel")}>
          Cancel jobs
        </Button>
      )}
      {again > 0 && (
        <Button disabled={waits} aria-keyshortcuts="r" onClick={() => setAsking("retry")}>
          Retry
        </Button>
      )}
      {asking === "cancel" && (
        <Confirm
          title={`Cancel ${plural(open, "job")}?`}
          action={`Cancel ${plural(open, "job")}`}
          danger
          typed={open > MANY ? "cancel" : undefined}
          onConfirm={() => cancel.mutate()}
          onClose={() => setAsking(undefined)}
        >
          <p>
            Every job of the group that has not ended. What waits never runs. What is at Anthropic already
            ends there and is paid for, but its answer is set aside.
          </p>
        </Confirm>
      )}
      {asking === "retry" && (
        <Confirm
          title={`Retry ${plural(again, "job")}?`}
          action={`Retry ${plural(again, "job")}`}
          typed={again > MANY ? "retry" : undefined}
          onConfirm={() => retry.mutate()}
          onClose={() => setAsking(undefined)}
        >
          <p>
            The failed and the canceled jobs of the group are queued again with the same prompt. New attempts
            are paid for.
          </p>
        </Confirm>
      )}
    </>
  );
}
