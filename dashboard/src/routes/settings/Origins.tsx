import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { originsQuery, setOrigins } from "../../api/keys";
import { asProblem, nextStep } from "../../api/problem";
import { Button } from "../../ui/Button";
import { Area, Field } from "../../ui/Form";
import { ProblemNote } from "../../ui/ProblemNote";
import { SkeletonText } from "../../ui/Skeleton";
import { toast } from "../../ui/Toast";

export function Origins() {
  const read = useQuery(originsQuery);
  if (read.isPending) return <SkeletonText lines={3} label="Loading origins" />;
  if (!read.data) return <ProblemNote error={read.error} onRetry={() => void read.refetch()} />;
  const stored = read.data.join("\n");
  return <Form key={stored} stored={stored} />;
}

/** What is wrong, by the line that it stands on. */
function said(error: unknown): string {
  const problem = asProblem(error);
  const faults = problem.fields.map(({ field, message }) => {
    const nth = /^\/origins\/(\d+)$/.exec(field)?.[1];
    return nth === undefined ? message : `No ${Number(nth) + 1} ${message}`;
  });
  return faults.length > 0 ? faults.join("; ") : `${problem.message} ${nextStep(problem)}`;
}

function Form({ stored }: { stored: string }) {
  const queries = useQueryClient();
  const [text, setText] = useState(stored);
  const [waits, setWaits] = useState(false);
  const [error, setError] = useState<unknown>();
  const list = text
    .split("\n")
    .map((line) => line.trim())
    .filter(Boolean);

  async function store(event: FormEvent) {
    event.preventDefault();
    setWaits(true);
    setError(undefined);
    try {
      queries.setQueryData(originsQuery.queryKey, await setOrigins(list));
      toast(list.length > 0 ? "Stored the origins" : "No page of another origin is let in now");
    } catch (problem) {
      setError(problem);
    } finally {
      setWaits(false);
    }
  }

  return (
    <form onSubmit={(event) => void store(event)} className="flex flex-col gap-3">
      <Field
        name="Origins from which live tickets may be used"
        hint="One a line, as in https://app.example.com; none: no page but this one may connect."
        problem={error === undefined ? undefined : said(error)}
      >
        {(field) => (
          <Area
            {...field}
            rows={3}
            className="font-mono text-meta"
            placeholder="https://app.example.com"
            value={text}
            onChange={(event) => setText(event.target.value)}
          />
        )}
      </Field>
      <Button type="submit" className="self-start" disabled={waits || list.join("\n") === stored}>
        Store the origins
      </Button>
    </form>
  );
}
