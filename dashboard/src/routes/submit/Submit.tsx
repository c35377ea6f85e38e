import { useQuery } from "@tanstack/react-query";
import { jobTypesQuery } from "../../api/jobTypes";
import { useMay } from "../../api/session";
import { useKeys } from "../../lib/keys";
import { useUrl } from "../../lib/url";
import { FollowJob } from "../../parts/FollowJob";
import { Button } from "../../ui/Button";
import { Empty } from "../../ui/Empty";
import { PageHead } from "../../ui/Page";
import { ProblemNote } from "../../ui/ProblemNote";
import { SkeletonRows } from "../../ui/Skeleton";
import { FollowGroup } from "./FollowGroup";
import { SubmitForm } from "./SubmitForm";

/** The form; after it was sent, what became of it: `?job=` or `?group=`. */
export function Screen() {
  const [url, setUrl] = useUrl();
  const { job, group } = url;
  const may = useMay("jobs:write");
  const back = () => setUrl({ job: undefined, group: undefined });
  useKeys(job || group ? { Escape: back } : {});
  return (
    <div className="flex min-h-0 flex-1 flex-col">
      <PageHead title="Submit" />
      <div className="min-h-0 flex-1 overflow-y-auto">
        {!may ? (
          <Empty title="Submitting is not among what you may do">
            <p>An admin of your tenant can give you a role, or a key, that may.</p>
          </Empty>
        ) : job || group ? (
          <section aria-label="What was submitted" className="max-w-xl px-4 py-4 md:px-6">
            {job ? <FollowJob key={job} id={job} /> : group && <FollowGroup key={group} id={group} />}
            <Button className="mt-4" onClick={back}>
              Submit another
            </Button>
          </section>
        ) : (
          <Form />
        )}
      </div>
    </div>
  );
}

function Form() {
  const [url, setUrl] = useUrl();
  const types = useQuery(jobTypesQuery);
  if (types.isPending) return <SkeletonRows rows={6} label="Loading job types" />;
  if (!types.data) return <ProblemNote error={types.error} onRetry={() => void types.refetch()} />;
  const chosen =
    types.data.find(({ name }) => name === url.type) ??
    types.data.find(({ name }) => name === "summarize") ??
    types.data[0];
  if (!chosen)
    return (
      <Empty title="No job types">
        <p>A job type says what is asked of each document. Make one first.</p>
      </Empty>
    );
  return (
    <SubmitForm
      types={types.data}
      type={chosen}
      onType={(type) => setUrl({ type }, { replace: true })}
      onSent={(sent) => setUrl(sent)}
    />
  );
}
