import { useQuery } from "@tanstack/react-query";
import { limitsQuery } from "../../api/limits";
import { LimitList } from "../../parts/LimitList";
import { ProblemNote } from "../../ui/ProblemNote";
import { SkeletonText } from "../../ui/Skeleton";

export function Limits() {
  const read = useQuery(limitsQuery);
  if (read.isPending) return <SkeletonText lines={6} label="Loading limits" />;
  if (!read.data) return <ProblemNote error={read.error} onRetry={() => void read.refetch()} />;
  return (
    <>
      <p className="mb-3 max-w-md text-ink2">
        What you may take of this deployment. Beyond it a request is refused, and told when to come again;
        only its operator can change them.
      </p>
      <LimitList limits={read.data.data} />
      {!read.data.takes_jobs && (
        <p className="mt-2 text-ink2">No jobs are taken at the moment: the database has no room.</p>
      )}
    </>
  );
}
