import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { requestQuery } from "../../api/jobs";
import { indentJson } from "../../lib/json";
import { useUrl } from "../../lib/url";
import { LongText } from "../../parts/LongText";
import { ProblemNote } from "../../ui/ProblemNote";
import { SkeletonText } from "../../ui/Skeleton";

/** What a job asks Anthropic, read when it is opened. Prompts are text nodes, as answers are. */
export function Request({ id }: { id: string }) {
  const [url, setUrl] = useUrl();
  const open = url.request === "open";
  return (
    <details
      open={open}
      className="mt-6 border-line2 border-t pt-4"
      onToggle={(event) => {
        const now = event.currentTarget.open;
        if (now !== open) setUrl({ request: now ? "open" : undefined }, { replace: true });
      }}
    >
      <summary className="mb-2 cursor-pointer font-semibold text-body">Request</summary>
      {open && <Rendered id={id} />}
    </details>
  );
}

function Rendered({ id }: { id: string }) {
  const read = useQuery(requestQuery(id));
  const source = read.data;
  const laidOut = useMemo(() => source && indentJson(source), [source]);
  if (source === undefined || laidOut === undefined)
    return read.isError ? (
      <ProblemNote error={read.error} onRetry={() => void read.refetch()} />
    ) : (
      <SkeletonText label="Loading the request" />
    );
  return (
    <>
      <p className="mb-2 text-ink3 text-meta">
        What is sent to Anthropic, rendered. Copying takes it byte for byte; the mark for the prompt cache is
        put in on the way.
      </p>
      <LongText text={source} laidOut={laidOut} what="request" mono save={`${id}.request.json`} />
    </>
  );
}
