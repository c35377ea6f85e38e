import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { type Job, type JobResult, resultQuery } from "../api/jobs";
import { indentJson, memberSource } from "../lib/json";
import { useUrl } from "../lib/url";
import { Glyph } from "../ui/Glyph";
import { Section } from "../ui/Panel";
import { ProblemNote } from "../ui/ProblemNote";
import { SkeletonText } from "../ui/Skeleton";
import { type Tab, Tabs } from "../ui/Tabs";
import { LongText } from "./LongText";

/** What a job answered, always as text nodes: nothing in it can run or load. */
export function Result({ job, rev }: { job: Job; rev: number }) {
  const { id } = job;
  const read = useQuery(resultQuery(id, rev));
  const [{ tab = "" }, setUrl] = useUrl();
  const tabs = useMemo<Tab[]>(() => {
    if (!read.data) return [];
    const { result, source } = read.data;
    const output = memberSource(source, "output");
    const all: Tab[] = [];
    if (output !== undefined && output !== "null")
      all.push({
        id: "output",
        title: "Structured",
        body: (
          <>
            <SchemaNote result={result} version={job.type_version} />
            <LongText text={indentJson(output)} what="output" mono />
          </>
        ),
      });
    if (result.text)
      all.push({ id: "text", title: "Text", body: <LongText text={result.text} what="text" /> });
    if (result.error)
      all.push({
        id: "error",
        title: "Error",
        body: <LongText text={indentJson(memberSource(source, "error") ?? "")} what="error" mono />,
      });
    all.push({
      id: "raw",
      title: "Raw",
      body: <LongText text={indentJson(source)} what="result" mono save={`${id}.json`} />,
    });
    return all;
  }, [read.data, id, job.type_version]);

  return (
    <Section
      title="Result"
      aside={
        read.data?.result.standin && <span className="text-ink3 text-meta">made up by the stand-in</span>
      }
    >
      {read.data ? (
        <Tabs
          label="Result"
          tabs={tabs}
          current={tab}
          onChange={(tab) => setUrl({ tab }, { replace: true })}
          keys
        />
      ) : read.isError ? (
        <ProblemNote error={read.error} onRetry={() => void read.refetch()} />
      ) : (
        <SkeletonText label="Loading the result" />
      )}
    </Section>
  );
}

/** The server checks an answer against the schema that its request asked for; this says what came of it. */
function SchemaNote({ result, version }: { result: JobResult; version: number | null | undefined }) {
  const whose = result.type
    ? `the output schema of ${result.type}${version ? `, version ${version}` : ""}`
    : "the output schema of its request";
  if (result.state === "completed")
    return (
      <p className="mb-2 flex items-center gap-2 text-ink2">
        <Glyph state="completed" /> Matches {whose}.
      </p>
    );
  if (result.label !== "schema_invalid") return null;
  return (
    <p className="mb-2 flex items-center gap-2">
      <Glyph state="failed" /> Is JSON, but does not match {whose}.
    </p>
  );
}
