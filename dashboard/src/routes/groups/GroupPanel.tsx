import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useCallback } from "react";
import { type Group, groupQuery, resultsHref, unfinished } from "../../api/groups";
import { JOB_STATES } from "../../api/jobs";
import { useMay } from "../../api/session";
import { useKeys } from "../../lib/keys";
import { exactMoney, savedPercent } from "../../lib/money";
import { count, plural } from "../../lib/number";
import { useTopic } from "../../live/hooks";
import { useChanges } from "../../live/onCounts";
import { LeftInFull } from "../../parts/Left";
import { CopyId, copyText } from "../../ui/Copy";
import { Glyph, stateWord } from "../../ui/Glyph";
import { Go } from "../../ui/Go";
import { Fact, Facts, Panel, Section } from "../../ui/Panel";
import { ProblemNote } from "../../ui/ProblemNote";
import { SkeletonText } from "../../ui/Skeleton";
import { toast } from "../../ui/Toast";
import { Moment } from "../../ui/When";
import { Actions } from "./Actions";
import { Elapsed } from "./columns";
import { Progress, progressWords } from "./Progress";
import { useLiveGroup } from "./useGroupRow";

const MONEY_EVERY_MS = 5000;

export function GroupPanel({ id, onClose }: { id: string; onClose: () => void }) {
  const read = useQuery(groupQuery(id));
  const group = useLiveGroup(read.data);
  const submits = useMay("jobs:write");
  useTopic(`group:${id}`);
  // Counts come live; what was billed does not.
  const queries = useQueryClient();
  const look = useCallback(
    () => void queries.invalidateQueries({ queryKey: groupQuery(id).queryKey }),
    [queries, id],
  );
  useChanges(look, read.data !== undefined && !read.data.done, MONEY_EVERY_MS);
  useKeys({ y: () => void copyText(id).then((done) => done && toast("Copied the group id")) });
  return (
    <Panel
      label="Group"
      title={group?.name ?? "Group"}
      actions={group && submits && <Actions group={group} />}
      onClose={onClose}
    >
      {group ? (
        <Detail group={group} />
      ) : read.isError ? (
        <ProblemNote error={read.error} onRetry={() => void read.refetch()} />
      ) : (
        <SkeletonText lines={8} label="Loading the group" />
      )}
    </Panel>
  );
}

function Detail({ group }: { group: Group }) {
  const { counts, jobs } = group;
  const ended = jobs - unfinished(counts);
  const sees = useMay("results:read");
  return (
    <>
      <Progress counts={counts} jobs={jobs} />
      <p className="mt-2 mb-4 text-ink2">{progressWords(counts, jobs)}.</p>
      <Facts>
        <Fact name="Group">
          <CopyId id={group.id} what="group id" />
        </Fact>
        <Fact name="Created">
          <Moment at={group.created_at} />
        </Fact>
        <Fact name="Running for">{!group.done && <Elapsed since={group.created_at} />}</Fact>
        <Fact name="Time left">
          {!group.done && counts.queued + counts.submitted > 0 && <LeftInFull group={group} />}
        </Fact>
        <Fact name="Jobs">
          <Go to="/jobs" search={{ group: group.id }}>
            {plural(jobs, "job")}
          </Go>
        </Fact>
      </Facts>
      <Section title="Jobs by state">
        <ul className="grid grid-cols-2 gap-x-6 gap-y-1.5">
          {JOB_STATES.map((state) => (
            <li key={state} className="flex items-center gap-2">
              <Glyph state={state} />
              <span className="flex-1">
                {counts[state] > 0 ? (
                  <Go to="/jobs" search={{ state, group: group.id }}>
                    {stateWord(state)}
                  </Go>
                ) : (
                  <span className="text-ink3">{stateWord(state)}</span>
                )}
              </span>
              <span className={counts[state] > 0 ? undefined : "text-ink3"}>{count(counts[state])}</span>
            </li>
          ))}
        </ul>
      </Section>
      <Money group={group} />
      <Section title="Results">
        {!sees ? (
          <p className="text-ink3">What was answered is not among what you may see.</p>
        ) : ended > 0 ? (
          <p className="text-ink2">
            <Download id={group.id} format="ndjson">
              Download as NDJSON
            </Download>{" "}
            or{" "}
            <Download id={group.id} format="csv">
              as CSV
            </Download>
            {group.done
              ? `, one line for each of ${plural(jobs, "job")}.`
              : `, one line for each job that has ended: ${count(ended)} now.`}
          </p>
        ) : (
          <p className="text-ink2">There is one line for each job that has ended. None has yet.</p>
        )}
      </Section>
    </>
  );
}

function Download({ id, format, children }: { id: string; format: "ndjson" | "csv"; children: ReactNode }) {
  return (
    <a
      className="text-tide-ink underline underline-offset-2"
      href={resultsHref(id, format)}
      download={`${id}.${format}`}
    >
      {children}
    </a>
  );
}

function Money({ group }: { group: Group }) {
  const percent = savedPercent(group.cost, group.cost_sync);
  return (
    <Section title="Cost and tokens">
      <Facts>
        <Fact name="Cost so far">{exactMoney(group.cost)}</Fact>
        <Fact name="At normal price">{exactMoney(group.cost_sync)}</Fact>
        <Fact name="Saved">
          {percent !== null && (
            <span className={percent > 0 ? "text-gain" : undefined}>
              {exactMoney(group.saved)} · {percent} %
            </span>
          )}
        </Fact>
        <Fact name="Without a price">
          {group.unpriced ? `${plural(group.unpriced, "attempt")}, in none of these amounts` : null}
        </Fact>
        <Fact name="Input">{count(group.usage.input_tokens)} tokens</Fact>
        <Fact name="Output">{count(group.usage.output_tokens)} tokens</Fact>
      </Facts>
    </Section>
  );
}
