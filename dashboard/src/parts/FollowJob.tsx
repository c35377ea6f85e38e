import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useMemo } from "react";
import { hasEnded, jobQuery } from "../api/jobs";
import { exactMoney } from "../lib/money";
import { useJob, useJobRev, useWatch } from "../live/hooks";
import { CopyId } from "../ui/Copy";
import { StateLabel } from "../ui/Glyph";
import { Fact, Facts } from "../ui/Panel";
import { ProblemNote } from "../ui/ProblemNote";
import { SkeletonText } from "../ui/Skeleton";
import { Moment } from "../ui/When";
import { Result } from "./Result";

/** One job as it goes on, and its result when that is there. */
export function FollowJob({ id }: { id: string }) {
  const rev = useJobRev(id);
  const read = useQuery(jobQuery(id, rev));
  const job = useJob(id);
  useWatch(useMemo(() => [id], [id]));
  if (!job)
    return read.isError ? (
      <ProblemNote error={read.error} onRetry={() => void read.refetch()} />
    ) : (
      <SkeletonText lines={4} label="Loading the job" />
    );
  const ended = hasEnded(job.state);
  return (
    <>
      <Facts>
        <Fact name="State">
          <span role="status">
            <StateLabel state={job.state} label={job.label} />
          </span>
        </Fact>
        <Fact name="Job">
          <CopyId id={job.id} what="job id" />
        </Fact>
        <Fact name="Why">{job.reason}</Fact>
        <Fact name="Accepted">
          <Moment at={job.created_at} />
        </Fact>
        <Fact name="Expected by">{job.expected_by && <Moment at={job.expected_by} />}</Fact>
        <Fact name="Latest by">{job.latest_by && <Moment at={job.latest_by} />}</Fact>
        <Fact name="Cost">{ended && exactMoney(job.cost)}</Fact>
      </Facts>
      <p className="mt-3 mb-6">
        <Link to="/jobs" search={{ id }} className="text-tide-ink underline">
          See it among the jobs
        </Link>
      </p>
      {ended && <Result job={job} rev={rev} />}
    </>
  );
}
