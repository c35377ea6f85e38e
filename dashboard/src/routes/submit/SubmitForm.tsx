import { type FormEvent, useEffect, useMemo, useRef, useState } from "react";
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
import { More, NO_MORE, readMore } from "./More";
import { byField } from "./problems";

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
  const [more, setMore] = useState(NO_MORE);
  const [asked, setAsked] = useState(false);
  const [sending, setSending] = useState<AbortController>();
  const [refused, setRefused] = useState<{ of: unknown; error: unknown }>();

  const fields = useMemo(() => fieldsOf(type.input_schema), [type]);
  const document = documentField(fields);
  const others = useMemo(() => fields.filter((field) => field !== document), [fields, document]);

  const { requests, problems } = useMemo(() => {
    const read = readInput(others, typed);
    const found: Record<string, string> = { ...read.problems };
    const besides = readMore(more);
    if (besides.problem) found.metadata = besides.problem;
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
        ...besides.said,
      }),
    );
    return { requests: Object.keys(found).length > 0 ? [] : made, problems: found };
  }, [others, typed, document, files, text, type, rest.user, rest.within, more]);

  // The same jobs have the same key: sent again after a lost answer, they are stored once.
  const key = useRef<{ of: unknown; key: string }>(undefined);

  // Whoever leaves the page gives it up, too.
  useEffect(() => () => sending?.abort(), [sending]);

  async function submit(event: FormEvent) {
    event.preventDefault();
    setAsked(true);
    const [only] = requests;
    if (!only || sending) return;
    const may = new AbortController();
    setSending(may);
    setRefused(undefined);
    if (key.current?.of !== requests) key.current = { of: requests, key: newIdempotencyKey() };
    try {
      const { key: once } = key.current;
      const { signal } = may;
      if (requests.length === 1) onSent({ job: (await submitJob(only, once, signal)).id });
      else onSent({ group: await submitGroup(requests, rest.group || undefined, once, signal) });
    } catch (problem) {
      if (!may.signal.aborted) setRefused({ of: requests, error: problem });
      setSending(undefined);
    }
  }

  // What was found wrong with these jobs says nothing of changed ones.
  const now = refused?.of === requests ? refused : undefined;
  const told = now ? byField(now.error) : {};
  const wrong = { ...told, ...(asked ? problems : {}) };
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
            problem={wrong[document.name]}
            onText={setText}
            onFiles={setFiles}
          />
        )}
        <InputForm
          fields={others}
          typed={typed}
          problems={wrong}
          onChange={(name, value) => setTyped((before) => ({ ...before, [name]: value }))}
        />
        <div className="grid gap-4 md:grid-cols-2">
          <Field
            name="Wanted within"
            hint="Such as 30s, 2h or 1d. It chooses batches or a direct call; empty: no hurry."
            problem={wrong.deliver_within}
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
          <Field name="User" hint="Your app's label, for lists and spend." problem={wrong.user}>
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
        <More
          typed={more}
          problems={wrong}
          onChange={(changed) => setMore((before) => ({ ...before, ...changed }))}
        />
      </div>
      <div className="min-w-0">
        {now ? (
          <div className="-mx-4">
            <ProblemNote error={now.error} />
          </div>
        ) : (
          <Section title="Estimate">
            {requests.length > 0 ? (
              <EstimateView requests={requests} />
            ) : (
              <p className="text-ink2">
                What it would cost stands here as soon as all that is needed is filled in.
              </p>
            )}
          </Section>
        )}
        <Button type="submit" kind="main" className="mt-4 w-full" disabled={sending !== undefined}>
          {sending
            ? "Submitting"
            : requests.length > 1
              ? `Submit ${plural(requests.length, "job")}`
              : "Submit"}
        </Button>
        {sending && (
          <>
            <Button className="mt-2 w-full" onClick={() => sending.abort()}>
              Cancel
            </Button>
            <p className="mt-2 text-ink3 text-meta">
              It may take as long as the upload takes. If it is canceled after all of it has arrived, the jobs
              are stored all the same; submitted again as they are, they are not stored twice.
            </p>
          </>
        )}
      </div>
    </form>
  );
}
