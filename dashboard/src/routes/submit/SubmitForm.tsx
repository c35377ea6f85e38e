import { type FormEvent, useMemo, useRef, useState } from "react";
import { anyObject } from "../../api/client";
import type { JobType } from "../../api/jobTypes";
import { type JobRequest, newIdempotencyKey, submitGroup, submitJob } from "../../api/submit";
import { plural } from "../../lib/number";
import { documentField, fieldsOf, readInput } from "../../lib/schema";
import { EstimateView } from "../../parts/EstimateView";
import { Button } from "../../ui/Button";
import { Field, Input, Select } from "../../ui/Form";
import { InputForm } from "../../ui/InputForm";
import { Section } from "../../ui/Panel";
import { ProblemNote } from "../../ui/ProblemNote";
import { type Document, Documents } from "./Documents";

const NO_FILES: readonly Document[] = [];

export function SubmitForm({
  types,
  type,
  onType,
  onSent,
}: {
  types: readonly JobType[];
  type: JobType;
  onType: (name: string) => void;
  onSent: (sent: { job?: string; group?: string }) => void;
}) {
  const [text, setText] = useState("");
  const [files, setFiles] = useState(NO_FILES);
  const [typed, setTyped] = useState<Record<string, string>>({});
  const [rest, setRest] = useState({ user: "", within: "", group: "" });
  const [asked, setAsked] = useState(false);
  const [waits, setWaits] = useState(false);
  const [error, setError] = useState<unknown>();

  const fields = useMemo(() => fieldsOf(type.input_schema), [type]);
  const document = documentField(fields);
  const others = useMemo(() => fields.filter((field) => field !== document), [fields, document]);

  const { requests, problems } = useMemo(() => {
    const read = readInput(others, typed);
    const found: Record<string, string> = { ...read.problems };
    const texts = document
      ? files.length > 0
        ? files.map((file) => file.text)
        : text.trim()
          ? [text]
          : []
      : [""];
    if (document?.required && texts.length === 0) found[document.name] = "Paste a text, or choose files.";
    const made = texts.map(
      (one): JobRequest => ({
        type: type.name,
        input: anyObject({ ...read.input, ...(document && { [document.name]: one }) }),
        ...(rest.user && { user: rest.user }),
        ...(rest.within && { deliver_within: rest.within }),
      }),
    );
    return { requests: Object.keys(found).length > 0 ? [] : made, problems: found };
  }, [others, typed, document, files, text, type, rest.user, rest.within]);

  // The same jobs have the same key: sent again after a lost answer, they are stored once.
  const key = useRef<{ of: unknown; key: string }>(undefined);

  async function submit(event: FormEvent) {
    event.preventDefault();
    setAsked(true);
    const [only] = requests;
    if (!only || waits) return;
    setWaits(true);
    setError(undefined);
    if (key.current?.of !== requests) key.current = { of: requests, key: newIdempotencyKey() };
    try {
      if (requests.length === 1) onSent({ job: (await submitJob(only, key.current.key)).id });
      else onSent({ group: await submitGroup(requests, rest.group || undefined, key.current.key) });
    } catch (problem) {
      setError(problem);
      setWaits(false);
    }
  }

  const change = (changed: Partial<typeof rest>) => setRest((before) => ({ ...before, ...changed }));
  return (
    <form
      noValidate
      onSubmit={(event) => void submit(event)}
      className="grid max-w-xl gap-x-10 gap-y-6 px-4 py-4 md:px-6 lg:max-w-none lg:grid-cols-[minmax(0,46rem)_20rem]"
    >
      <div className="flex min-w-0 flex-col gap-4">
        <Field name="Job type" hint={type.description}>
          {(field) => (
            <Select
              {...field}
              value={type.name}
              onChange={(event) => onType(event.target.value)}
              options={types.map(({ name }) => [name, name])}
            />
          )}
        </Field>
        {document && (
          <Documents
            name={document.name === "text" ? "Text" : document.name}
            text={text}
            files={files}
            problem={asked ? problems[document.name] : undefined}
            onText={setText}
            onFiles={setFiles}
          />
        )}
        <InputForm
          fields={others}
          typed={typed}
          problems={asked ? problems : {}}
          onChange={(name, value) => setTyped((before) => ({ ...before, [name]: value }))}
        />
        <div className="grid gap-4 md:grid-cols-2">
          <Field
            name="Wanted within"
            hint="Such as 30s, 2h or 1d. It chooses batches or a direct call; empty: no hurry."
          >
            {(field) => (
              <Input
                {...field}
                placeholder={type.deliver_within ?? ""}
                value={rest.within}
                onChange={(event) => change({ within: event.target.value })}
              />
            )}
          </Field>
          <Field name="User" hint="Your app's label, for lists and spend.">
            {(field) => (
              <Input
                {...field}
                maxLength={256}
                value={rest.user}
                onChange={(event) => change({ user: event.target.value })}
              />
            )}
          </Field>
          {files.length > 1 && (
            <Field name="Name of the group" hint="To find these jobs together again.">
              {(field) => (
                <Input
                  {...field}
                  maxLength={256}
                  value={rest.group}
                  onChange={(event) => change({ group: event.target.value })}
                />
              )}
            </Field>
          )}
        </div>
      </div>
      <div className="min-w-0">
        <Section title="Estimate">
          {requests.length > 0 ? (
            <EstimateView requests={requests} />
          ) : (
            <p className="text-ink2">
              What it would cost stands here as soon as all that is needed is filled in.
            </p>
          )}
        </Section>
        {error !== undefined && (
          <div className="-mx-4">
            <ProblemNote error={error} />
          </div>
        )}
        <Button type="submit" kind="main" className="mt-4 w-full" disabled={waits}>
          {waits ? "Submitting" : requests.length > 1 ? `Submit ${plural(requests.length, "job")}` : "Submit"}
        </Button>
      </div>
    </form>
  );
}
