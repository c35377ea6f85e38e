import { Suspense, use, useId, useState } from "react";
import { title } from "./app";
import { Glyph } from "./Glyph";
import type { Job, State } from "./jobs";

const words: Record<State, string> = {
  queued: "Queued",
  submitted: "With Claude",
  processing: "With Claude",
  completed: "Summary ready",
  failed: "Failed",
  canceled: "Canceled",
};
const hour = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

function Time({ at }: { at: string }) {
  const date = new Date(at);
  const today = date.toDateString() === new Date().toDateString();
  return <time dateTime={at}>{(today ? hour : day).format(date)}</time>;
}

const Title = ({ id }: { id: string }) => use(title(id));

/** One document: its state, and what came of it, in place. */
export function Document({ job, read }: { job: Job; read: (id: string) => void }) {
  const version = `${job.state} ${job.at}`;
  const [opened, setOpened] = useState("");
  const panel = useId();
  const ended = job.state === "completed" || job.state === "failed";
  const open = ended && opened === version;
  const toggle = () => {
    if (!open) read(job.id);
    setOpened(open ? "" : version);
  };
  const name = (
    <Suspense fallback={<span className="pending">…</span>}>
      <Title id={job.id} />
    </Suspense>
  );
  return (
    <li className="document" data-job={job.id} data-state={job.state}>
      <Glyph key={job.state} state={job.state} />
      <h3>
        {ended ? (
          <button type="button" aria-expanded={open} aria-controls={panel} onClick={toggle}>
            {name}
          </button>
        ) : (
          name
        )}
      </h3>
      <p className="state">
        {words[job.state] ?? job.state} <Time at={job.at} />
      </p>
      <div className="result" id={panel} hidden={!open}>
        {open && <Answer job={job} again={() => read(job.id)} />}
      </div>
    </li>
  );
}

/** Text nodes only: whatever a document or a model says, it is never markup. */
function Answer({ job, again }: { job: Job; again: () => void }) {
  const { result } = job;
  if (!result) return <p className="pending">Reading …</p>;
  if (result.problem) {
    return (
      <p role="alert">
        {result.problem}{" "}
        <button type="button" onClick={again}>
          Try again
        </button>
      </p>
    );
  }
  return (
    <>
      {job.state === "failed" && <p className="reason">{result.reason ?? job.label}</p>}
      {result.text && <p className="text">{result.text}</p>}
      {result.standin && <p className="standin">Made up by offpeak's stand-in; nothing was billed.</p>}
    </>
  );
}
