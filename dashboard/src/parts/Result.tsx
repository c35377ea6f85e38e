import { useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { resultQuery } from "../api/jobs";
import { indentJson, memberSource } from "../lib/json";
import { Code } from "../ui/Code";
import { Section } from "../ui/Panel";
import { ProblemNote } from "../ui/ProblemNote";
import { SkeletonText } from "../ui/Skeleton";
import { type Tab, Tabs } from "../ui/Tabs";

/** More than this is not laid out: the whole is copied or saved instead. */
const SHOWN = 200_000;

/** What a job answered, always as text nodes: nothing in it can run or load. */
export function Result({ id, rev }: { id: string; rev: number }) {
  const read = useQuery(resultQuery(id, rev));
  const [tab, setTab] = useState("");
  const tabs = useMemo<Tab[]>(() => {
    if (!read.data) return [];
    const { result, source } = read.data;
    const output = memberSource(source, "output");
    const all: Tab[] = [];
    if (output !== undefined && output !== "null")
      all.push({
        id: "output",
        title: "Structured",
        body: <Text text={indentJson(output)} what="output" mono />,
      });
    if (result.text) all.push({ id: "text", title: "Text", body: <Text text={result.text} what="text" /> });
    if (result.error)
      all.push({
        id: "error",
        title: "Error",
        body: <Text text={indentJson(memberSource(source, "error") ?? "")} what="error" mono />,
      });
    all.push({
      id: "raw",
      title: "Raw",
      body: <Text text={indentJson(source)} what="result" mono save={`${id}.json`} />,
    });
    return all;
  }, [read.data, id]);

  return (
    <Section
      title="Result"
      aside={
        read.data?.result.standin && <span className="text-ink3 text-meta">made up by the stand-in</span>
      }
    >
      {read.data ? (
        <Tabs label="Result" tabs={tabs} current={tab} onChange={setTab} />
      ) : read.isError ? (
        <ProblemNote error={read.error} onRetry={() => void read.refetch()} />
      ) : (
        <SkeletonText label="Loading the result" />
      )}
    </Section>
  );
}

function Text({
  text,
  what,
  mono = false,
  save,
}: {
  text: string;
  what: string;
  mono?: boolean;
  save?: string;
}) {
  const cut = text.length > SHOWN;
  return (
    <div>
      <Code text={text} what={what} shown={cut ? text.slice(0, SHOWN) : text} prose={!mono} wrap />
      {cut && (
        <p className="mt-2 text-ink3 text-meta">Only its beginning is shown. Copy it to have all of it.</p>
      )}
      {save && (
        <button type="button" className="mt-2 text-tide-ink underline" onClick={() => saveAs(save, text)}>
          Save as {save}
        </button>
      )}
    </div>
  );
}

function saveAs(name: string, text: string) {
  const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  URL.revokeObjectURL(url);
}
