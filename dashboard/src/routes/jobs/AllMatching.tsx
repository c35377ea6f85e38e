// Everything that matches, not just the rows that are loaded: offered once all of those are selected.

import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { type Action, JOB_FILTER, type JobFilter } from "../../api/jobs";
import { beginOperation } from "../../api/operations";
import { isEmptyFilter } from "../../lib/filter";
import { useKeys } from "../../lib/keys";
import { plural } from "../../lib/number";
import { Button } from "../../ui/Button";
import { toastProblem } from "../../ui/Toast";
import { AllDialog } from "./AllDialog";

type Props = {
  filter: JobFilter;
  /** Rows that are selected: all that are loaded. */
  loaded: number;
  all: boolean;
  onAll: (all: boolean) => void;
  onEnd: () => void;
};

export function AllMatching({ filter, loaded, all, onAll, onEnd }: Props) {
  const queries = useQueryClient();
  const [asking, setAsking] = useState<Action>();
  const which = isEmptyFilter(JOB_FILTER, filter) ? "all your jobs" : "all that match this filter";
  useKeys({
    "Shift+a": () => onAll(true),
    ...(all && { c: () => setAsking("cancel"), r: () => setAsking("retry"), Escape: () => onAll(false) }),
  });

  async function begin(action: Action) {
    try {
      await beginOperation(queries, action, filter);
      onEnd();
    } catch (error) {
      toastProblem("Nothing was begun", error);
    }
  }

  return (
    <div className="flex min-h-11 shrink-0 flex-wrap items-center gap-x-2 gap-y-1 border-line border-t bg-tide-wash px-4 py-2 md:px-6">
      <p className="mr-2" role="status">
        {all
          ? `Selected: ${which}`
          : `All ${plural(loaded, "loaded job is", "loaded jobs are")} selected, and there may be more.`}
      </p>
      {all ? (
        <>
          <Button onClick={() => setAsking("retry")}>Retry all</Button>
          <Button onClick={() => setAsking("cancel")}>Cancel all</Button>
          <Button kind="ghost" onClick={() => onAll(false)}>
            Only the loaded ones
          </Button>
        </>
      ) : (
        <Button onClick={() => onAll(true)}>Select {which}</Button>
      )}
      {asking && (
        <AllDialog
          action={asking}
          filter={filter}
          onConfirm={() => void begin(asking)}
          onClose={() => setAsking(undefined)}
        />
      )}
    </div>
  );
}
