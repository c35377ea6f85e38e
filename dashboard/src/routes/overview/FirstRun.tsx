import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { newestJobs } from "../../api/jobs";
import { useMay } from "../../api/session";
import { useJob, useWatch } from "../../live/hooks";
import { FirstCommand } from "../../parts/FirstCommand";
import { Empty } from "../../ui/Empty";
import { Flash } from "../../ui/Flash";
import { StateLabel } from "../../ui/Glyph";
import { Go } from "../../ui/Go";
import { When } from "../../ui/When";

export function FirstRun() {
  const [submits, makesKeys] = [useMay("jobs:write"), useMay("keys:manage")];
  if (!submits)
    return (
      <Empty title="No jobs yet">
        <p>This page turns to the first one as soon as somebody submits it.</p>
      </Empty>
    );
  return (
    <Empty title="Send the first job">
      <p>
        With an API key, in a terminal. This page turns to it as soon as it is accepted.
        {makesKeys && (
          <>
            {" "}
            No key yet? <Go to="/settings">Make one</Go>
          </>
        )}
      </p>
      <FirstCommand />
    </Empty>
  );
}

/** The first that came while this screen was open and empty. */
export function FirstJob() {
  const { data } = useQuery({
    queryKey: ["jobs", "first"],
    queryFn: ({ signal }) => newestJobs({}, signal),
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 0,
  });
  const id = data?.ids.at(-1);
  return id ? <Row id={id} /> : null;
}

function Row({ id }: { id: string }) {
  const job = useJob(id);
  useWatch(useMemo(() => [id], [id]));
  if (!job) return null;
  return (
    <section
      aria-label="Your first job"
      className="flex flex-wrap items-center gap-x-4 gap-y-1 border-line2 border-b bg-tide-wash px-4 py-3 md:px-6"
    >
      <h2 className="font-semibold">Your first job</h2>
      <Flash of={job.state}>
        <StateLabel state={job.state} label={job.state === "queued" ? job.detail : job.label} />
      </Flash>
      <Go to="/jobs" search={{ id }}>
        <code className="font-mono text-meta">{id}</code>
      </Go>
      <span className="text-ink2">
        accepted <When at={job.created_at} />
      </span>
    </section>
  );
}
