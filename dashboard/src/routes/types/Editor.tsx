import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { anyObject } from "../../api/client";
import { type JobType, type JobTypeRequest, jobTypesQuery, storeJobType } from "../../api/jobTypes";
import { asProblem } from "../../api/problem";
import { Button } from "../../ui/Button";
import { Area, Check, Field, Input, Select } from "../../ui/Form";
import { ProblemNote } from "../../ui/ProblemNote";
import { Template } from "../../ui/Template";
import { toast } from "../../ui/Toast";
import { schemaText } from "./Definition";

const ONE_TEXT = {
  type: "object",
  properties: { text: { type: "string", minLength: 1 } },
  required: ["text"],
  additionalProperties: false,
};

type Draft = Omit<JobTypeRequest, "input_schema" | "output_schema" | "max_tokens"> & {
  input: string;
  output: string;
  max_tokens: string;
};

const draftOf = (base: JobType | undefined): Draft => ({
  name: base?.name ?? "",
  description: base?.description ?? "",
  model: base?.model ?? "",
  max_tokens: String(base?.max_tokens ?? 2048),
  system: base?.system ?? "",
  template: base?.template ?? "<document>\n{{ text }}\n</document>\n\n",
  input: schemaText(base?.input_schema ?? ONE_TEXT),
  output: schemaText(base?.output_schema),
  deliver_within: base?.deliver_within,
  on_late: base?.on_late,
  on_unknown: base?.on_unknown,
  reuse_for: base?.reuse_for,
  coalesce: base?.coalesce,
});

function parsed(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

/** A new job type, or the next version of `base`. What is stored is never changed. */
export function Editor({
  base,
  onStored,
}: {
  base: JobType | undefined;
  onStored: (stored: JobType) => void;
}) {
  const queries = useQueryClient();
  const types = useQuery(jobTypesQuery);
  const [draft, setDraft] = useState(() => draftOf(base));
  const [error, setError] = useState<unknown>();
  const [asked, setAsked] = useState(false);
  const [waits, setWaits] = useState(false);
  const change = (changed: Partial<Draft>) => setDraft((before) => ({ ...before, ...changed }));

  const input = parsed(draft.input);
  const output = draft.output.trim() === "" ? null : parsed(draft.output);
  const faults = error === undefined ? [] : asProblem(error).fields;
  const wrong = (field: string) => faults.find((fault) => fault.field === `/${field}`)?.message;
  const needed = (text: string) => (asked && text.trim() === "" ? "This is needed." : undefined);
  const noJson = (value: unknown) => (value === undefined ? "This is not a JSON object." : undefined);

  async function store(event: FormEvent) {
    event.preventDefault();
    setAsked(true);
    if (
      waits ||
      !input ||
      output === undefined ||
      !draft.name ||
      !draft.model ||
      !draft.max_tokens ||
      !draft.template.trim()
    )
      return;
    setWaits(true);
    setError(undefined);
    const { input: _, output: __, max_tokens, ...same } = draft;
    try {
      const stored = await storeJobType({
        ...same,
        max_tokens: Number(max_tokens),
        deliver_within: same.deliver_within || undefined,
        reuse_for: same.reuse_for || undefined,
        input_schema: anyObject(input),
        output_schema: output && anyObject(output),
      });
      await queries.invalidateQueries({ queryKey: jobTypesQuery.queryKey });
      toast(`Stored version ${stored.version} of ${stored.name}`);
      onStored(stored);
    } catch (problem) {
      setError(problem);
      setWaits(false);
    }
  }

  return (
    <form noValidate onSubmit={(event) => void store(event)} className="flex max-w-xl flex-col gap-4">
      {base && (
        <p className="text-ink2">
          Made from version {base.version}, which stays as it is; jobs that were submitted with it run with
          it.
          {base.shipped && " The new one is yours, and is used instead of offpeak's."}
        </p>
      )}
      <div className="grid gap-4 md:grid-cols-3">
        <Field
          name="Name"
          hint={base ? undefined : "Lowercase letters, digits and _."}
          problem={wrong("name") ?? needed(draft.name)}
        >
          {(field) => (
            <Input
              {...field}
              maxLength={63}
              disabled={base !== undefined}
              value={draft.name}
              onChange={(event) => change({ name: event.target.value })}
            />
          )}
        </Field>
        <Field name="Model" problem={wrong("model") ?? needed(draft.model)}>
          {(field) => (
            <>
              <Input
                {...field}
                list="known-models"
                value={draft.model}
                onChange={(event) => change({ model: event.target.value })}
              />
              <datalist id="known-models">
                {[...new Set((types.data ?? []).map(({ model }) => model))].map((model) => (
                  <option key={model} value={model} />
                ))}
              </datalist>
            </>
          )}
        </Field>
        <Field name="Longest answer, in tokens" problem={wrong("max_tokens") ?? needed(draft.max_tokens)}>
          {(field) => (
            <Input
              {...field}
              inputMode="numeric"
              value={draft.max_tokens}
              onChange={(event) => change({ max_tokens: event.target.value.replace(/\D/g, "") })}
            />
          )}
        </Field>
      </div>
      <Field name="What it does" problem={wrong("description")}>
        {(field) => (
          <Input
            {...field}
            value={draft.description}
            onChange={(event) => change({ description: event.target.value })}
          />
        )}
      </Field>
      <Field
        name="Template"
        hint="The user message. {{ name }} stands for a value of the input."
        problem={wrong("template") ?? needed(draft.template)}
      >
        {(field) => <Template {...field} text={draft.template} onText={(template) => change({ template })} />}
      </Field>
      <Field name="System prompt" hint="May stay empty." problem={wrong("system")}>
        {(field) => (
          <Area
            {...field}
            rows={6}
            value={draft.system}
            onChange={(event) => change({ system: event.target.value })}
          />
        )}
      </Field>
      <Field name="Input schema" problem={wrong("input_schema") ?? noJson(input)}>
        {(field) => <Template {...field} text={draft.input} onText={(text) => change({ input: text })} />}
      </Field>
      <Field
        name="Output schema"
        hint="Empty: the answer is free text."
        problem={wrong("output_schema") ?? noJson(output)}
      >
        {(field) => <Template {...field} text={draft.output} onText={(text) => change({ output: text })} />}
      </Field>
      <div className="grid gap-4 md:grid-cols-2">
        <Field
          name="Wanted within"
          hint="Such as 30s or 2h; empty: no hurry."
          problem={wrong("deliver_within")}
        >
          {(field) => (
            <Input
              {...field}
              value={draft.deliver_within ?? ""}
              onChange={(event) => change({ deliver_within: event.target.value })}
            />
          )}
        </Field>
        <Field name="When it would be late" problem={wrong("on_late")}>
          {(field) => (
            <Select
              {...field}
              value={draft.on_late ?? ""}
              onChange={(event) => change({ on_late: (event.target.value || undefined) as Draft["on_late"] })}
              options={[
                ["", "as offpeak does: goes direct"],
                ["escalate", "goes direct"],
                ["wait", "waits on"],
                ["fail", "fails"],
              ]}
            />
          )}
        </Field>
        <Field
          name="Reuse answers up to"
          hint="Such as 1h or 7d; empty: none is reused."
          problem={wrong("reuse_for")}
        >
          {(field) => (
            <Input
              {...field}
              value={draft.reuse_for ?? ""}
              onChange={(event) => change({ reuse_for: event.target.value })}
            />
          )}
        </Field>
        <Field name="When the answer to a direct call is lost" problem={wrong("on_unknown")}>
          {(field) => (
            <Select
              {...field}
              value={draft.on_unknown ?? ""}
              onChange={(event) =>
                change({ on_unknown: (event.target.value || undefined) as Draft["on_unknown"] })
              }
              options={[
                ["", "as offpeak does: fails"],
                ["fail", "fails"],
                ["retry", "is asked for again"],
              ]}
            />
          )}
        </Field>
      </div>
      <Check
        checked={draft.coalesce !== false}
        onChange={(event) => change({ coalesce: event.target.checked ? undefined : false })}
      >
        Jobs that ask the same to the byte share one attempt
      </Check>
      {error !== undefined && (
        <div className="-mx-4">
          <ProblemNote error={error} />
        </div>
      )}
      <Button type="submit" kind="main" disabled={waits} className="mb-6 self-start">
        {waits ? "Storing" : base ? "Store the new version" : "Store the job type"}
      </Button>
    </form>
  );
}
