import { useQuery } from "@tanstack/react-query";
import clsx from "clsx";
import { type FormEvent, lazy, Suspense, useRef, useState } from "react";
import { FAILURES, JOB_FILTER, JOB_STATES, type JobFilter } from "../../api/jobs";
import { jobTypesQuery } from "../../api/jobTypes";
import { ago, parseBox, printFilter } from "../../lib/filter";
import { useKeys } from "../../lib/keys";
import { count } from "../../lib/number";
import { absolute } from "../../lib/time";
import { useCounts } from "../../live/hooks";
import { Chip } from "../../ui/Chip";
import { Glyph, stateWord, words } from "../../ui/Glyph";

const Between = lazy(() => import("./Between").then(({ Between }) => ({ default: Between })));

/** What stands as a chip, and its words. */
const CHIPS = {
  type: "type",
  group: "group",
  user: "user",
  model: "model",
  label: "failed as",
  batch: "batch",
  since: "since",
  until: "until",
} as const;
const SHOWN = Object.keys(CHIPS) as (keyof typeof CHIPS)[];

const HOUR = 3_600_000;
const PRESETS: readonly [string, number][] = [
  ["Last hour", HOUR],
  ["Last 24 hours", 24 * HOUR],
  ["Last 7 days", 7 * 24 * HOUR],
  ["Last 30 days", 30 * 24 * HOUR],
];

export function FilterBar({
  filter,
  onFilter,
}: {
  filter: JobFilter;
  onFilter: (filter: JobFilter) => void;
}) {
  return (
    <div className="flex shrink-0 flex-col gap-2 border-line2 border-b px-4 py-2 md:px-6">
      <States filter={filter} onFilter={onFilter} />
      <div className="flex flex-wrap items-center gap-2">
        {SHOWN.map(
          (key) =>
            filter[key] && (
              <Chip key={key} name={CHIPS[key]} onRemove={() => onFilter({ ...filter, [key]: undefined })}>
                {chipText(key, filter[key])}
              </Chip>
            ),
        )}
        <Box filter={filter} onFilter={onFilter} />
        <Failure filter={filter} onFilter={onFilter} />
        <Time filter={filter} onFilter={onFilter} />
      </div>
    </div>
  );
}

const chipText = (key: keyof typeof CHIPS, value: string) =>
  key === "since" || key === "until" ? absolute(value) : key === "label" ? words(value) : value;

/** A menu of the browser's own that does something for each of its words; it never stays on one. */
function Menu(props: {
  label: string;
  options: readonly (readonly [value: string, words: string])[];
  onPick: (value: string) => void;
}) {
  return (
    <select
      aria-label={props.label}
      className="h-7 w-32 rounded-md border border-line bg-raised px-1.5 text-ink2"
      value=""
      onChange={(event) => props.onPick(event.target.value)}
    >
      <option value="" disabled hidden>
        {props.label}
      </option>
      {props.options.map(([value, words]) => (
        <option key={value} value={value}>
          {words}
        </option>
      ))}
    </select>
  );
}

function Failure({ filter, onFilter }: { filter: JobFilter; onFilter: (filter: JobFilter) => void }) {
  return (
    <Menu
      label="Failed as"
      options={FAILURES.map((label) => [label, words(label)])}
      // Only failed jobs have one: beside another state nothing would match.
      onPick={(picked) =>
        onFilter({ ...filter, state: undefined, label: FAILURES.find((label) => label === picked) })
      }
    />
  );
}

function Time({ filter, onFilter }: { filter: JobFilter; onFilter: (filter: JobFilter) => void }) {
  const [between, setBetween] = useState(false);
  return (
    <>
      <Menu
        label="Accepted"
        options={[...PRESETS.map(([title]) => [title, title] as const), ["between", "Between…"]]}
        onPick={(picked) => {
          const preset = PRESETS.find(([title]) => title === picked);
          if (preset) onFilter({ ...filter, since: ago(preset[1]), until: undefined });
          else setBetween(true);
        }}
      />
      <Suspense>
        {between && (
          <Between
            since={filter.since}
            until={filter.until}
            onPick={(range) => onFilter({ ...filter, ...range })}
            onClose={() => setBetween(false)}
          />
        )}
      </Suspense>
    </>
  );
}

function States({ filter, onFilter }: { filter: JobFilter; onFilter: (filter: JobFilter) => void }) {
  const counts = useCounts("jobs");
  // The counts are the tenant's: beside another filter they would be wrong.
  const right = SHOWN.some((key) => filter[key]) ? undefined : counts;
  const all = right && Object.values(right).reduce((sum, n) => sum + n, 0);
  const chosen = filter.state ?? [];
  return (
    <fieldset className="-mx-2 flex min-w-0 gap-1 overflow-x-auto">
      <legend className="sr-only">State</legend>
      <State on={chosen.length === 0} n={all} onClick={() => onFilter({ ...filter, state: undefined })}>
        All
      </State>
      {JOB_STATES.map((state) => (
        <State
          key={state}
          on={chosen.includes(state)}
          n={right?.[state]}
          onClick={(several) => {
            const others = several ? chosen.filter((other) => other !== state) : [];
            const next =
              chosen.includes(state) && (several || chosen.length === 1) ? others : [...others, state];
            onFilter({ ...filter, state: next.length > 0 ? next : undefined });
          }}
        >
          <Glyph state={state} className="size-3.5" />
          {stateWord(state)}
        </State>
      ))}
    </fieldset>
  );
}

function State(props: {
  on: boolean;
  n: number | undefined;
  onClick: (several: boolean) => void;
  children: React.ReactNode;
}) {
  return (
    <button
      type="button"
      aria-pressed={props.on}
      title="With Shift: several"
      onClick={(event) => props.onClick(event.shiftKey)}
      className={clsx(
        "flex h-7 shrink-0 items-center gap-1.5 rounded-md px-2",
        props.on ? "bg-sunk font-semibold text-ink" : "text-ink2 hover:text-ink",
      )}
    >
      {props.children}
      {props.n !== undefined && <span className="font-normal text-ink3">{count(props.n)}</span>}
    </button>
  );
}

function Box({ filter, onFilter }: { filter: JobFilter; onFilter: (filter: JobFilter) => void }) {
  const [text, setText] = useState("");
  const [problem, setProblem] = useState<string>();
  const field = useRef<HTMLInputElement>(null);
  const types = useQuery(jobTypesQuery);
  useKeys({ "/": () => field.current?.focus() });

  function submit(event: FormEvent) {
    event.preventDefault();
    const read = parseBox(JOB_FILTER, text);
    setProblem(read.problem);
    if (read.problem) return;
    setText("");
    if (Object.keys(printFilter(JOB_FILTER, read.filter)).length > 0) onFilter({ ...filter, ...read.filter });
  }

  return (
    <form onSubmit={submit} className="min-w-full flex-1 md:min-w-48">
      <input
        ref={field}
        type="search"
        list="job-filters"
        aria-label="Add a filter"
        aria-keyshortcuts="/"
        aria-invalid={problem !== undefined}
        aria-describedby="job-filter-problem"
        placeholder="Filter: type:… user:… batch:… since:24h"
        autoComplete="off"
        spellCheck={false}
        className="h-7 w-full max-w-lg rounded-md border border-line bg-raised px-2"
        value={text}
        onChange={(event) => {
          setText(event.target.value);
          setProblem(undefined);
        }}
        onKeyDown={(event) => {
          if (event.key === "Escape") event.currentTarget.blur();
        }}
      />
      <datalist id="job-filters">
        {(types.data ?? []).map(({ name }) => (
          <option key={name} value={`type:${name}`} />
        ))}
        {JOB_STATES.map((state) => (
          <option key={state} value={`state:${state}`} />
        ))}
        {FAILURES.map((label) => (
          <option key={label} value={`label:${label}`} />
        ))}
      </datalist>
      <p id="job-filter-problem" role="status" className="text-bad text-meta empty:hidden">
        {problem}
      </p>
    </form>
  );
}
