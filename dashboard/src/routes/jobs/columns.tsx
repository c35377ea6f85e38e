import type { Job } from "../../api/jobs";
import { duration, ms } from "../../lib/time";
import { Cost } from "../../ui/Cost";
import { Flash } from "../../ui/Flash";
import { StateLabel } from "../../ui/Glyph";
import type { Column } from "../../ui/VirtualTable";
import { When } from "../../ui/When";

const none = <span className="text-ink3">–</span>;

export const COLUMNS: readonly Column<Job>[] = [
  {
    id: "state",
    title: "State",
    track: "minmax(7.5rem,1.2fr)",
    cell: (job) => (
      <Flash of={job.state}>
        <StateLabel state={job.state} label={job.state === "queued" ? job.detail : job.label} />
      </Flash>
    ),
  },
  {
    id: "type",
    title: "Type",
    track: "minmax(5rem,1.2fr)",
    cell: (job) => job.type ?? <span className="text-ink3">own params</span>,
  },
  {
    id: "id",
    title: "Job",
    track: "minmax(7rem,1fr)",
    from: 820,
    cell: (job) => <code className="font-mono text-ink2 text-meta">{job.id}</code>,
  },
  { id: "user", title: "User", track: "minmax(5rem,0.8fr)", from: 620, cell: (job) => job.user ?? none },
  { id: "model", title: "Model", track: "minmax(7rem,0.9fr)", from: 980, cell: (job) => job.model },
  {
    id: "cost",
    title: "Cost",
    track: "6rem",
    end: true,
    from: 520,
    cell: (job) => (job.state === "completed" || job.cost ? <Cost amount={job.cost} decimals={5} /> : none),
  },
  {
    id: "took",
    title: "Took",
    track: "5rem",
    end: true,
    from: 720,
    cell: (job) => (job.ended_at ? duration(ms(job.ended_at) - ms(job.created_at)) : none),
  },
  {
    id: "created",
    title: "Created",
    track: "4.5rem",
    end: true,
    cell: (job) => <When at={job.created_at} />,
  },
];
