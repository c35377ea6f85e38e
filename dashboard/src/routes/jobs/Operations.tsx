// What the server is doing with every job that matched: one line each, as long as it runs and until its
// outcome was read. It is there again when the page is opened anew.

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { X } from "lucide-react";
import { useCallback, useEffect, useState, useSyncExternalStore } from "react";
import { type Action, JOB_FILTER } from "../../api/jobs";
import { type Operation, operationsQuery, stopOperation } from "../../api/operations";
import { useMay } from "../../api/session";
import { parseFilter, printBox } from "../../lib/filter";
import { count, plural } from "../../lib/number";
import { store } from "../../lib/store";
import { onOperations } from "../../live/onCounts";
import { Button } from "../../ui/Button";
import { toastProblem } from "../../ui/Toast";
import { doneWord } from "./words";

/** How long an outcome is worth a line of a page that was not open when it came. */
const NEWS_MS = 10 * 60_000;
/** A chunk of a thousand jobs takes less; its numbers need not come faster. */
const LOOK_EVERY_MS = 1000;
/** The states that an action can change: what a filter without a state comes to. */
const ANY: Record<Action, string> = { cancel: "queued,submitted,processing", retry: "failed,canceled" };

/** Outcomes that were read. */
const read = store<{ ids: readonly string[] }>({ ids: [] });

export function Operations() {
  const queries = useQueryClient();
  const { data } = useQuery(operationsQuery);
  const { ids } = useSyncExternalStore(read.subscribe, read.current);
  const [opened] = useState(Date.now);
  const look = useCallback(
    () => void queries.invalidateQueries({ queryKey: operationsQuery.queryKey, exact: true }),
    [queries],
  );
  useEffect(() => onOperations(look, LOOK_EVERY_MS), [look]);

  const isNews = ({ id, state, ended_at }: Operation) =>
    state === "running" || (!ids.includes(id) && Date.parse(ended_at ?? "") > opened - NEWS_MS);
  const shown = (data ?? []).filter(isNews);
  const last = shown.find(({ state }) => state !== "running");
  return (
    <>
      <p role="status" className="sr-only">
        {last && outcome(last)}
      </p>
      {shown.map((operation) => (
        <Line key={operation.id} operation={operation} />
      ))}
    </>
  );
}

function Line({ operation }: { operation: Operation }) {
  const { id, action, state, matched, expected, all_counted: whole, problem } = operation;
  const queries = useQueryClient();
  const may = useMay("jobs:write");
  const [stopping, setStopping] = useState(false);
  const runs = state === "running";
  const of = Math.max(expected, matched);

  async function stop() {
    setStopping(true);
    await stopOperation(queries, id).catch((error: unknown) => toastProblem("It goes on", error));
    setStopping(false);
  }

  return (
    <section
      aria-label={`${action === "cancel" ? "Cancel" : "Retry"} ${which(operation)}`}
      className="relative shrink-0 border-line border-b bg-raised px-4 py-2 md:px-6"
    >
      <div className="flex min-h-7 items-center gap-3">
        <div className="min-w-0 flex-1">
          <p>
            <span className="font-semibold">{runs ? DOING[action] : outcome(operation)}</span>
            {runs && (
              <span className="text-ink2 tabular-nums">
                {" "}
                {count(matched)} of {whole ? "" : "at least "}
                {plural(of, "job")}
              </span>
            )}{" "}
            <code className="break-all font-mono text-ink3 text-meta">{which(operation)}</code>
          </p>
          {problem && <p className={state === "stopped" ? "text-bad" : "text-ink2"}>{sentence(problem)}</p>}
        </div>
        {runs ? (
          may && (
            <Button disabled={stopping} onClick={() => void stop()}>
              Stop
            </Button>
          )
        ) : (
          <Button
            kind="ghost"
            square
            aria-label="Dismiss"
            onClick={() => read.set({ ids: [...read.current().ids, id] })}
          >
            <X className="size-4" aria-hidden="true" />
          </Button>
        )}
      </div>
      {runs && (
        <span
          role="progressbar"
          aria-label={DOING[action]}
          aria-valuenow={matched}
          aria-valuemin={0}
          aria-valuemax={of}
          className="absolute inset-x-0 bottom-0 h-0.5 bg-line2"
        >
          {/* `style` set by script is allowed by the policy; as an attribute in markup it is not. */}
          <span className="block h-full bg-tide" style={{ width: `${(matched / Math.max(1, of)) * 100}%` }} />
        </span>
      )}
    </section>
  );
}

const DOING: Record<Action, string> = { cancel: "Canceling", retry: "Retrying" };

/** `2,500 jobs canceled, 3 left as they are`, and whether that was all. */
function outcome({ action, state, done, left }: Operation): string {
  const words = [
    `${state === "stopped" ? "Stopped: " : ""}${done > 0 ? plural(done, "job") : "no job"} ${doneWord(action)}`,
    left > 0 && `${plural(left, "other")} left as ${left === 1 ? "it is" : "they are"}`,
  ];
  return sentence(words.filter(Boolean).join(", "), "");
}

const sentence = (text: string, end = "."): string => text.charAt(0).toUpperCase() + text.slice(1) + end;

/** The filter in the words of the box. */
function which({ action, filter }: Operation): string {
  const { state, ...rest } = filter;
  const said = state === ANY[action] ? rest : filter;
  return printBox(JOB_FILTER, parseFilter(JOB_FILTER, said)) || "all jobs";
}
