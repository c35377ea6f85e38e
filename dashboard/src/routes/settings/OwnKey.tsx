import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import {
  type OwnUpstream,
  ownUpstreamQuery,
  removeUpstreamKey,
  type UpstreamKey,
} from "../../api/ownUpstream";
import { count } from "../../lib/number";
import { Button } from "../../ui/Button";
import { Confirm } from "../../ui/Dialog";
import { Fact, Facts } from "../../ui/Panel";
import { ProblemNote } from "../../ui/ProblemNote";
import { SkeletonText } from "../../ui/Skeleton";
import { toast, toastProblem } from "../../ui/Toast";
import { When } from "../../ui/When";
import { SetOwnKey } from "./SetOwnKey";

/** The tenant's own Anthropic key: what it is never comes back, only how it stands. */
export function OwnKey() {
  const read = useQuery(ownUpstreamQuery);
  if (read.isPending) return <SkeletonText lines={3} label="Loading your own Anthropic key" />;
  if (!read.data) return <ProblemNote error={read.error} onRetry={() => void read.refetch()} />;
  return <Shown of={read.data} />;
}

const GO = {
  shared: "the key of whoever runs this server",
  own: "your own key",
  nowhere: "nowhere: your key was removed, and they wait for another one",
} as const;

function Shown({ of }: { of: OwnUpstream }) {
  const queries = useQueryClient();
  const [asking, setAsking] = useState<"set" | "remove">();
  const is = (state: UpstreamKey["state"]) => of.keys.find((key) => key.state === state);
  const [current, checking] = [is("current"), is("checking")];
  const refused = of.keys[0]?.state === "refused" ? of.keys[0] : undefined;
  const put = (now: OwnUpstream) => queries.setQueryData(ownUpstreamQuery.queryKey, now);
  const close = () => setAsking(undefined);
  return (
    <div className="flex flex-col gap-3">
      <Facts>
        <Fact name="Jobs go by">{GO[of.jobs_go]}</Fact>
        {current && (
          <>
            <Fact name="Key in use">
              <Ends of={current} />
            </Fact>
            <Fact name="Last check">
              {current.checked_at && <When at={current.checked_at} />}
              {current.workspace && (
                <>
                  , workspace <code className="break-all font-mono text-meta">{current.workspace}</code>
                </>
              )}
            </Fact>
          </>
        )}
        {checking && (
          <Fact name="Being checked">
            <Ends of={checking} />
            {checking.said && <p className="text-warn">{checking.said}; it is asked again</p>}
          </Fact>
        )}
        {refused && (
          <Fact name="Not taken">
            <Ends of={refused} />
            <p className="text-bad">{refused.said}</p>
          </Fact>
        )}
        {of.pause && <Fact name="Paused">{of.pause.reason}</Fact>}
      </Facts>
      {of.available ? (
        <div className="flex flex-wrap gap-2">
          <Button onClick={() => setAsking("set")}>
            {current ? "Replace the key" : "Set a key of your own"}
          </Button>
          {(current || checking) && <Button onClick={() => setAsking("remove")}>Remove the key</Button>}
        </div>
      ) : (
        <p className="text-ink2">
          This server has no master key to keep a key of yours under. Whoever runs it can set one.
        </p>
      )}
      {asking === "set" && <SetOwnKey replaces={current !== undefined} onSet={put} onClose={close} />}
      {asking === "remove" && <Remove of={of} onRemoved={put} onClose={close} />}
    </div>
  );
}

const Ends = ({ of }: { of: UpstreamKey }) => (
  <>
    <code className="font-mono text-meta">…{of.last_four}</code>, set <When at={of.set_at} />
  </>
);

function Remove({
  of: { depends },
  onRemoved,
  onClose,
}: {
  of: OwnUpstream;
  onRemoved: (now: OwnUpstream) => void;
  onClose: () => void;
}) {
  return (
    <Confirm
      title="Remove your own key?"
      action="Remove the key"
      danger
      onClose={onClose}
      onConfirm={() =>
        void removeUpstreamKey().then(
          (now) => {
            toast("Removed the key");
            onRemoved(now);
          },
          (error: unknown) => toastProblem("The key is still in use", error),
        )
      }
    >
      <p>It is gone from this server at once. What that means:</p>
      <ul className="mt-2 list-disc pl-4">
        <li>
          {depends.open_batches > 0
            ? `${count(depends.open_batches)} open batches with ${count(depends.jobs_in_batches)} jobs stay at Anthropic, unread, until a key of the same workspace is set again. Anthropic bills them, and deletes their results after 29 days.`
            : "No batch is open at Anthropic."}
        </li>
        <li>
          {depends.falls_back
            ? `${count(depends.waiting_jobs)} waiting jobs, and all that come, go by the key of whoever runs this server.`
            : `${count(depends.waiting_jobs)} waiting jobs, and all that come, wait until you set another key.`}
        </li>
      </ul>
    </Confirm>
  );
}
