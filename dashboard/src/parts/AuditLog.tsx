import { useInfiniteQuery } from "@tanstack/react-query";
import { type AuditEntry, auditQuery, type Log } from "../api/audit";
import { Button } from "../ui/Button";
import { Section } from "../ui/Panel";
import { ProblemNote } from "../ui/ProblemNote";
import { SkeletonText } from "../ui/Skeleton";
import { type Cell, Table } from "../ui/Table";
import { When } from "../ui/When";

// What each action is called. One of a newer server is shown as it comes.
const WORDS: Record<string, string> = {
  "key.create": "made a key",
  "key.rotate": "rotated a key",
  "key.revoke": "revoked a key",
  "person.invite": "invited somebody",
  "person.remove": "removed somebody",
  "person.sign_in": "signed in by a link",
  "budget.set": "set a budget",
  "budget.remove": "removed a budget",
  "origins.replace": "listed pages for tickets",
  "upstream.set": "set its own Anthropic key",
  "upstream.remove": "removed its own Anthropic key",
  "upstream.fallback": "said where jobs go without an own key",
  "retention.set": "set how long things are kept",
  "tenant.erase": "began the erasure",
  "tenant.leave": "left its batches where nobody reaches them",
  "tenant.export": "exported everything",
  "jobs.cancel": "canceled jobs",
  "group.cancel": "canceled a group",
  "operation.begin": "began an operation",
  "operator.look": "looked inside, as operator",
  "tenant.create": "made a tenant",
  "tenant.weight": "gave a tenant another weight",
  "incident.resolve": "resolved an incident",
};

/** Who did what, newest first: never changed, chained by hashes. */
export function AuditLog({ log, title }: { log: Log; title: string }) {
  const read = useInfiniteQuery(auditQuery(log));
  const rows = read.data?.pages.flatMap((page) => page.data) ?? [];
  return (
    <Section title={title}>
      {read.isPending ? (
        <SkeletonText lines={3} label="Loading the audit log" />
      ) : rows.length > 0 ? (
        <Table label={title} columns={COLUMNS} rows={rows} keyOf={({ seq }) => String(seq)} />
      ) : (
        !read.isError && (
          <p className="text-ink2">Nothing yet. Keys, people, budgets and cancels are noted here.</p>
        )
      )}
      {read.isError && <ProblemNote error={read.error} onRetry={() => void read.fetchNextPage()} />}
      {read.hasNextPage && !read.isError && (
        <Button className="mt-2" disabled={read.isFetchingNextPage} onClick={() => void read.fetchNextPage()}>
          {read.isFetchingNextPage ? "Loading" : "Older entries"}
        </Button>
      )}
    </Section>
  );
}

const COLUMNS: Cell<AuditEntry>[] = [
  { id: "at", title: "When", cell: ({ at }) => <When at={at} /> },
  {
    id: "who",
    title: "Who",
    cell: ({ actor, actor_name }) => (
      <span className="whitespace-normal break-words">
        {actor_name || "the operator's command"}
        {actor === "operator" && actor_name && <span className="text-ink3"> (operator)</span>}
      </span>
    ),
  },
  {
    id: "what",
    title: "What",
    cell: ({ action, target, detail, address, request_id, seq, hash }) => (
      <span
        className="whitespace-normal break-words"
        title={[`entry ${seq}`, address && `from ${address}`, request_id, hash].filter(Boolean).join("\n")}
      >
        {WORDS[action] ?? action}
        {detail && <span className="text-ink2">: {detail}</span>}
        {target && <code className="ml-2 hidden font-mono text-ink3 text-meta md:inline">{target}</code>}
      </span>
    ),
  },
  {
    id: "from",
    title: "From",
    wide: true,
    cell: ({ address }) => <span className="text-ink3">{address}</span>,
  },
];
