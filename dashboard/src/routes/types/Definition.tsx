import type { JobType } from "../../api/jobTypes";
import { count } from "../../lib/number";
import { Code } from "../../ui/Code";
import { Select } from "../../ui/Form";
import { Fact, Facts, Section } from "../../ui/Panel";
import { Template } from "../../ui/Template";
import { Moment } from "../../ui/When";

const LATE = { wait: "waits on", escalate: "goes direct", fail: "fails" } as const;

export const schemaText = (schema: unknown): string => (schema ? JSON.stringify(schema, null, 2) : "");

export function Definition({
  type,
  versions,
  onVersion,
}: {
  type: JobType;
  versions: readonly JobType[];
  onVersion: (version: number) => void;
}) {
  return (
    <div className="max-w-xl">
      <p className="mb-3 text-ink2">{type.description}</p>
      <Facts>
        <Fact name="Version">
          <Select
            aria-label="Version"
            className="!w-auto"
            value={type.version}
            onChange={(event) => onVersion(Number(event.target.value))}
            options={versions.map(({ version }, nth) => [
              `${version}`,
              nth === 0 ? `${version}, the newest` : `${version}`,
            ])}
          />
        </Fact>
        <Fact name="From">{type.shipped ? "offpeak; it ships with it" : "you"}</Fact>
        <Fact name="Model">
          <span className="font-mono text-meta">{type.model}</span>
        </Fact>
        <Fact name="Longest answer">{count(type.max_tokens)} tokens</Fact>
        <Fact name="Wanted within">{type.deliver_within}</Fact>
        <Fact name="When late">{type.on_late && LATE[type.on_late]}</Fact>
        <Fact name="Lost answer">
          {type.on_unknown && (type.on_unknown === "fail" ? "fails" : "is asked for again")}
        </Fact>
        <Fact name="Reuses answers">{type.reuse_for && `up to ${type.reuse_for} old`}</Fact>
        <Fact name="Shares attempts">{type.coalesce === false && "no: each job is asked on its own"}</Fact>
        <Fact name="Stored">
          <Moment at={type.created_at} />
        </Fact>
      </Facts>
      <Section title="Template">
        <Template text={type.template} aria-label="Template" />
      </Section>
      {type.system && (
        <Section title="System prompt">
          <Code text={type.system} what="system prompt" prose wrap />
        </Section>
      )}
      <Section title="Input schema">
        <Code text={schemaText(type.input_schema)} what="input schema" />
      </Section>
      <Section title="Output schema">
        {type.output_schema ? (
          <Code text={schemaText(type.output_schema)} what="output schema" />
        ) : (
          <p className="text-ink2">None: the answer is free text.</p>
        )}
      </Section>
    </div>
  );
}
