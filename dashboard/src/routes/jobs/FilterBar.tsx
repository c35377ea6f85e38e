import { useQuery } from "@tanstack/react-query";
import clsx from "clsx";
import { type FormEvent, useRef, useState } from "react";
import { JOB_FILTER, JOB_STATES, type JobFilter } from "../../api/jobs";
import { jobTypesQuery } from "../../api/jobTypes";
import { parseBox, printFilter } from "../../lib/filter";
import { useKeys } from "../../lib/keys";
import { count } from "../../lib/number";
import { useCounts } from "../../live/hooks";
import { Chip } from "../../ui/Chip";
import { Glyph, stateWord } from "../../ui/Glyph";

const FREE = ["type", "group", "batch", "user", "model"] as const;

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
        {FREE.map(
          (key) =>
            filter[key] && (
              <Chip key={key} name={key} onRemove={() => onFilter({ ...filter, [key]: undefined })}>
                {filter[key]}
              </Chip>
            ),
        )}
        <Box filter={filter} onFilter={onFilter} />
      </div>
    </div>
  );
}

function States({ filter, onFilter }: { filter: JobFilter; onFilter: (filter: JobFilter) => void }) {
  const counts = useCounts("jobs");
  // The counts are the tenant's: beside another filter they would be wrong.
  const right = FREE.some((key) => filter[key]) ? undefined : counts;
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
    <form onSubmit={submit} className="min-w-48 flex-1">
      <input
        ref={field}
        type="search"
        list="job-filters"
        aria-label="Add a filter"
        aria-keyshortcuts="/"
        aria-invalid={problem !== undefined}
        aria-describedby="job-filter-problem"
        placeholder="Filter: type:… user:… group:… model:…"
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
      </datalist>
      <p id="job-filter-problem" role="status" className="text-bad text-meta empty:hidden">
        {problem}
      </p>
    </form>
  );
}
