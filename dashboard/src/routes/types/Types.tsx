import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { type JobType, jobTypesQuery } from "../../api/jobTypes";
import { useMay } from "../../api/session";
import { useKeys } from "../../lib/keys";
import { count } from "../../lib/number";
import { useUrl } from "../../lib/url";
import { Button } from "../../ui/Button";
import { Empty } from "../../ui/Empty";
import { PageHead } from "../../ui/Page";
import { ProblemNote } from "../../ui/ProblemNote";
import { SkeletonRows } from "../../ui/Skeleton";
import { type Cell, Table } from "../../ui/Table";
import { When } from "../../ui/When";
import { Editor } from "./Editor";
import { TypeDetail } from "./TypeDetail";

/** The list, or one of them (`?name=`), or a new one (`?view=new`). */
export function Screen() {
  const [url, setUrl] = useUrl();
  const navigate = useNavigate();
  const types = useQuery(jobTypesQuery);
  const [submits, manages] = [useMay("jobs:write"), useMay("settings:manage")];
  const { name } = url;
  const makes = !name && manages && url.view === "new";
  // Not from what is being written.
  const backs = name !== undefined && url.view !== "edit";
  useKeys(backs ? { Escape: () => void navigate({ to: "/types" }) } : {});
  return (
    <div className="flex min-h-0 flex-1 flex-col">
      <PageHead title={name ?? (makes ? "New job type" : "Job types")}>
        {name && submits && (
          <Link to="/submit" search={{ type: name }} className="ml-auto text-tide-ink underline">
            Submit jobs of it
          </Link>
        )}
        {name || makes ? (
          <Link to="/types" className="order-first text-ink2 hover:text-ink">
            Job types <span aria-hidden="true">/</span>
          </Link>
        ) : (
          manages && (
            <Button className="ml-auto" onClick={() => setUrl({ view: "new" })}>
              New job type
            </Button>
          )
        )}
      </PageHead>
      <div className="min-h-0 flex-1 overflow-y-auto px-4 py-3 md:px-6">
        {name ? (
          <TypeDetail key={name} name={name} />
        ) : makes ? (
          <Editor base={undefined} onStored={(stored) => setUrl({ name: stored.name, view: undefined })} />
        ) : types.isPending ? (
          <SkeletonRows rows={5} label="Loading job types" />
        ) : types.data ? (
          <List types={types.data} />
        ) : (
          <ProblemNote error={types.error} onRetry={() => void types.refetch()} />
        )}
      </div>
    </div>
  );
}

const COLUMNS: readonly Cell<JobType>[] = [
  {
    id: "name",
    title: "Name",
    cell: ({ name }) => (
      <Link to="/types" search={{ name }} className="font-semibold hover:underline">
        {name}
      </Link>
    ),
  },
  {
    id: "description",
    title: "What it does",
    wide: true,
    cell: ({ description }) => (
      <span className="block max-w-md truncate text-ink2" title={description}>
        {description}
      </span>
    ),
  },
  { id: "model", title: "Model", cell: ({ model }) => <span className="font-mono text-meta">{model}</span> },
  {
    id: "answer",
    title: "Answer",
    wide: true,
    cell: ({ output_schema }) => (output_schema ? "structured" : "text"),
  },
  { id: "from", title: "From", cell: ({ shipped }) => (shipped ? "offpeak" : "you") },
  { id: "version", title: "Version", number: true, cell: ({ version }) => count(version) },
  {
    id: "stored",
    title: "Stored",
    wide: true,
    number: true,
    cell: ({ created_at }) => <When at={created_at} />,
  },
];

function List({ types }: { types: readonly JobType[] }) {
  if (types.length === 0)
    return (
      <Empty title="No job types">
        <p>
          A job type is a prompt with a name: its template is filled from each job's input. Make the first
          one.
        </p>
      </Empty>
    );
  return <Table label="Job types" columns={COLUMNS} rows={types} keyOf={({ name }) => name} />;
}
