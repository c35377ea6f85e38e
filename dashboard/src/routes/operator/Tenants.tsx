import { useQuery } from "@tanstack/react-query";
import { Search } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { type TenantRow, type TenantRows, tenantsQuery } from "../../api/operator";
import { useKeys } from "../../lib/keys";
import { count, plural } from "../../lib/number";
import { ms, short } from "../../lib/time";
import { useUrl } from "../../lib/url";
import { Button } from "../../ui/Button";
import { Go } from "../../ui/Go";
import { Section } from "../../ui/Panel";
import { ProblemNote } from "../../ui/ProblemNote";
import { SkeletonRows } from "../../ui/Skeleton";
import { type Cell, Table } from "../../ui/Table";
import { Shares } from "./Shares";
import { Weight } from "./Weight";

const SETTLED_MS = 250;

export function Tenants({ onMake }: { onMake: () => void }) {
  const [url, setUrl] = useUrl();
  const q = url.q ?? "";
  const read = useQuery({ ...tenantsQuery(q), placeholderData: (before: TenantRows | undefined) => before });
  return (
    <Section
      title={read.data ? `Tenants (${count(read.data.tenants)})` : "Tenants"}
      aside={<Button onClick={onMake}>Make a tenant</Button>}
    >
      <Box q={q} onSearch={(next) => setUrl({ q: next || undefined }, { replace: true })} />
      {read.isError && <ProblemNote error={read.error} onRetry={() => void read.refetch()} />}
      {read.data ? (
        <Rows read={read.data} q={q} waits={read.isPlaceholderData} />
      ) : (
        !read.isError && <SkeletonRows rows={4} label="Loading tenants" />
      )}
    </Section>
  );
}

/** `waits`: they are still those of another search. */
function Rows({ read, q, waits }: { read: TenantRows; q: string; waits: boolean }) {
  const { data, as_of, tenants, waiting, sent } = read;
  if (tenants === 0)
    return <p className="py-6 text-ink2">There is no tenant yet. Make one, then invite its first admin.</p>;
  if (data.length === 0 && waits) return <SkeletonRows rows={4} label="Loading tenants" />;
  if (data.length === 0)
    return (
      <p className="py-6 text-ink2">
        No tenant's name holds “{q}”. All {plural(tenants, "tenant")} are there without it.
      </p>
    );
  return (
    <>
      <p className="mb-1 text-ink2">
        {count(waiting)} of {plural(tenants, "tenant has", "tenants have")} jobs waiting;{" "}
        {plural(sent, "job")} went out in the last hour. Fair is the part that a tenant's weight entitles it
        to among those.
      </p>
      <Table label="Tenants" columns={columns(as_of, q)} rows={data} keyOf={({ id }) => id} />
      {data.length < tenants && !q && (
        <p className="mt-2 text-ink3 text-meta">
          Those with the most under way, {count(data.length)} of {count(tenants)}. Search for the others.
        </p>
      )}
    </>
  );
}

/** Searches while one types, and has it in the address. */
function Box({ q, onSearch }: { q: string; onSearch: (q: string) => void }) {
  const [text, setText] = useState(q);
  const field = useRef<HTMLInputElement>(null);
  const typing = useRef<ReturnType<typeof setTimeout>>(undefined);
  useKeys({ "/": () => field.current?.focus() });
  useEffect(() => () => clearTimeout(typing.current), []);
  // The address changed by other means, such as going back.
  useEffect(() => {
    if (document.activeElement !== field.current) setText(q);
  }, [q]);
  return (
    <div className="relative mb-3 max-w-sm">
      <Search className="absolute top-2 left-2 size-3.5 text-ink3" aria-hidden="true" />
      <input
        ref={field}
        type="search"
        aria-label="Tenants whose name holds"
        aria-keyshortcuts="/"
        autoComplete="off"
        spellCheck={false}
        placeholder="A part of a name"
        className="h-7 w-full rounded-md border border-line bg-bg pr-2 pl-7"
        value={text}
        onChange={(event) => {
          const next = event.target.value;
          setText(next);
          clearTimeout(typing.current);
          typing.current = setTimeout(() => onSearch(next.trim()), SETTLED_MS);
        }}
      />
    </div>
  );
}

const columns = (asOf: string, q: string): Cell<TenantRow>[] => [
  {
    id: "name",
    title: "Tenant",
    cell: ({ id, name }) => (
      <Go to="/operator" search={q ? { q, id } : { id }}>
        {name}
      </Go>
    ),
  },
  { id: "waiting", title: "Waiting", number: true, cell: ({ queued }) => count(queued) },
  {
    id: "oldest",
    title: "Oldest wait",
    number: true,
    wide: true,
    cell: ({ waiting_since }) =>
      waiting_since ? short(ms(asOf) - ms(waiting_since)) : <span className="text-ink3">none</span>,
  },
  {
    id: "at",
    title: "At Anthropic",
    number: true,
    wide: true,
    cell: ({ submitted, processing }) => (
      <span title={`${plural(processing, "more is", "more are")} being read`}>{count(submitted)}</span>
    ),
  },
  {
    id: "shares",
    title: "Last hour",
    cell: (row) => (
      <div className="py-1.5">
        <Shares row={row} />
      </div>
    ),
  },
  { id: "weight", title: "Weight", number: true, wide: true, cell: (row) => <Weight row={row} /> },
];
