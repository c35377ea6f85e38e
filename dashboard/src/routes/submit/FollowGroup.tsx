import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { JOB_STATES } from "../../api/jobs";
import { followedGroupQuery } from "../../api/submit";
import { exactMoney } from "../../lib/money";
import { count } from "../../lib/number";
import { useCounts, useTopic } from "../../live/hooks";
import type { Counts } from "../../live/protocol";
import { CopyId } from "../../ui/Copy";
import { StateLabel } from "../../ui/Glyph";
import { Fact, Facts } from "../../ui/Panel";
import { ProblemNote } from "../../ui/ProblemNote";
import { SkeletonText } from "../../ui/Skeleton";
import { Moment } from "../../ui/When";

const endedOf = (counts: Counts | undefined) =>
  counts ? counts.completed + counts.failed + counts.canceled : 0;

/** A group as its jobs end: counted live, and its money read again when more have ended. */
export function FollowGroup({ id }: { id: string }) {
  useTopic(`group:${id}`);
  const counted = useCounts("groups")[id];
  const read = useQuery(followedGroupQuery(id, endedOf(counted)));
  const group = read.data;
  if (!group)
    return read.isError ? (
      <ProblemNote error={read.error} onRetry={() => void read.refetch()} />
    ) : (
      <SkeletonText lines={6} label="Loading the group" />
    );
  const counts = counted ?? group.counts;
  const ended = endedOf(counts);
  return (
    <>
      <p role="status" className="mb-3">
        <span className="text-figure">{count(ended)}</span> of {count(group.jobs)} have ended
      </p>
      <ul className="mb-4 flex flex-col gap-1">
        {JOB_STATES.filter((state) => counts[state] > 0).map((state) => (
          <li key={state} className="flex justify-between gap-4">
            <Link to="/jobs" search={{ group: id, state }} className="min-w-0 hover:underline">
              <StateLabel state={state} />
            </Link>
            {count(counts[state])}
          </li>
        ))}
      </ul>
      <Facts>
        <Fact name="Group">
          <CopyId id={id} what="group id" />
        </Fact>
        <Fact name="Name">{group.name}</Fact>
        <Fact name="Accepted">
          <Moment at={group.created_at} />
        </Fact>
        <Fact name="Cost so far">{(group.unpriced ?? 0) < ended && ended > 0 && exactMoney(group.cost)}</Fact>
        <Fact name="Without price">{group.unpriced ? count(group.unpriced) : null}</Fact>
      </Facts>
      <p className="mt-3">
        <Link to="/jobs" search={{ group: id }} className="text-tide-ink underline">
          See its jobs
        </Link>
      </p>
    </>
  );
}
