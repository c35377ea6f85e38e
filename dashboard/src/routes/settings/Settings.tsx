import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useState, useSyncExternalStore } from "react";
import { meQuery } from "../../api/keys";
import { type Session, sessionQuery, signOut } from "../../api/session";
import { singleKeys } from "../../lib/keys";
import { setTheme, type Theme, theme } from "../../lib/theme";
import { AuditLog } from "../../parts/AuditLog";
import { ROLES, SCOPES } from "../../parts/rights";
import { Button } from "../../ui/Button";
import { CopyId } from "../../ui/Copy";
import { Confirm } from "../../ui/Dialog";
import { Check, Field, Select } from "../../ui/Form";
import { PageHead } from "../../ui/Page";
import { Fact, Facts, Section } from "../../ui/Panel";
import { ProblemNote } from "../../ui/ProblemNote";
import { SkeletonText } from "../../ui/Skeleton";
import { toastProblem } from "../../ui/Toast";
import { Keys } from "./Keys";
import { Limits } from "./Limits";
import { Origins } from "./Origins";
import { OwnKey } from "./OwnKey";
import { People } from "./People";
import { Retention } from "./Retention";

/** What an export takes. */
const READS_ALL = ["jobs:read", "results:read", "settings:manage", "keys:manage"] as const;

/** With what the one who is signed in may do, and nothing else. */
export function Screen() {
  const session = useQuery(sessionQuery).data;
  const mine = session?.scopes ?? [];
  return (
    <div className="flex min-h-0 flex-1 flex-col">
      <PageHead title="Keys and settings" />
      <div className="min-h-0 flex-1 overflow-y-auto px-4 py-4 md:px-6">
        <div className="max-w-xl">
          <Section title="Who you are">
            <Me />
          </Section>
          {mine.includes("keys:manage") && (
            <>
              <Keys mine={mine} />
              <People mine={mine} />
            </>
          )}
          {session && !session.operator && (
            <Section title="Sessions">
              <Sessions session={session} />
            </Section>
          )}
          {mine.includes("jobs:read") && (
            <Section title="Limits">
              <Limits />
            </Section>
          )}
          {mine.includes("settings:manage") && (
            <>
              <Section title="Your own Anthropic key">
                <OwnKey />
              </Section>
              <Section title="Pages of your own">
                <Origins />
              </Section>
            </>
          )}
          {mine.includes("settings:manage") && (
            <Section title="What is kept">
              <Retention exports={READS_ALL.every((scope) => mine.includes(scope))} />
            </Section>
          )}
          {mine.includes("keys:manage") && <AuditLog log="/v1/audit" title="Audit log" />}
          <Section title="This browser">
            <Browser />
          </Section>
        </div>
      </div>
    </div>
  );
}

function Me() {
  const read = useQuery(meQuery);
  if (read.isPending) return <SkeletonText lines={4} label="Loading who you are" />;
  if (!read.data) return <ProblemNote error={read.error} onRetry={() => void read.refetch()} />;
  const { tenant, name, key, person, role, operator, scopes, upstream } = read.data;
  return (
    <Facts>
      <Fact name="Name">{name}</Fact>
      <Fact name="Tenant">
        <CopyId id={tenant} what="tenant id" />
      </Fact>
      <Fact name={key ? "Signed in with" : "Signed in as"}>
        {key ? <code className="font-mono text-meta">{key}</code> : person}
        {operator && ", its operator"}
      </Fact>
      <Fact name="Role">{role && ROLES[role].word}</Fact>
      <Fact name="You may">
        <ul>
          {SCOPES.filter(([scope]) => scopes.includes(scope)).map(([scope, words]) => (
            <li key={scope}>{words}</li>
          ))}
        </ul>
      </Fact>
      <Fact name="Jobs go to">
        {upstream.name}
        {upstream.standin && ": answers are made up and nothing is billed"}
      </Fact>
    </Facts>
  );
}

function Sessions({ session: { key } }: { session: Session }) {
  const queries = useQueryClient();
  const [asking, setAsking] = useState(false);
  return (
    <>
      <Line
        words={
          key
            ? "Ends every session that was begun with the same API key, on every machine. The key stays in force."
            : "Ends every session of yours, on every machine."
        }
      >
        <Button onClick={() => setAsking(true)}>Sign out everywhere</Button>
      </Line>
      {asking && (
        <Confirm
          title="Sign out everywhere?"
          action="Sign out everywhere"
          danger
          onClose={() => setAsking(false)}
          onConfirm={() =>
            void signOut(true).then(
              () => queries.setQueryData(sessionQuery.queryKey, null),
              (error: unknown) => toastProblem("You are still signed in", error),
            )
          }
        >
          <p>This page too: to come back you need {key ? "an API key" : "another link, or an API key"}.</p>
        </Confirm>
      )}
    </>
  );
}

const Line = ({ words, children }: { words: string; children: ReactNode }) => (
  <div className="flex flex-wrap items-center justify-between gap-x-6 gap-y-2">
    <p className="min-w-0 max-w-md text-ink2">{words}</p>
    {children}
  </div>
);

function Browser() {
  const { is } = useSyncExternalStore(theme.subscribe, theme.current);
  const [letters, setLetters] = useState(singleKeys.on());
  return (
    <div className="flex flex-col gap-4">
      <div className="max-w-sm">
        <Field name="Theme">
          {(field) => (
            <Select
              {...field}
              value={is}
              onChange={(event) => setTheme(event.target.value as Theme)}
              options={[
                ["system", "As the system says"],
                ["light", "Light"],
                ["dark", "Dark"],
              ]}
            />
          )}
        </Field>
      </div>
      <Check
        checked={letters}
        onChange={(event) => {
          singleKeys.set(event.target.checked);
          setLetters(event.target.checked);
        }}
      >
        Single letters are shortcuts. Switch them off if you dictate, or press keys by accident; Ctrl K or ⌘ K
        stays.
      </Check>
    </div>
  );
}
