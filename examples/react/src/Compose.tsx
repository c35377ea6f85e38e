import { useId, useState, useTransition } from "react";
import { queue } from "./app";

const SAMPLE = `Minutes of the allotment society, 3 March

The hose by the east gate leaks. Ines will replace the washer before the 15th; the society pays up to 20 euros. The waiting list has grown to 31 names, so plots that were not dug by 1 May are given on, after one letter. Bees: the two hives may stay, but not nearer than ten metres to the path. The summer fair is on 21 June. Tomas asks for cakes.`;

/** Takes a text and queues its summary. */
export function Compose() {
  // A new text is a new wish; the same text sent again, after an error, is the same.
  const [draft, setDraft] = useState({ text: "", once: "" });
  const [problem, setProblem] = useState<string>();
  const [sending, start] = useTransition();
  const field = useId();
  const write = (text: string) => {
    setDraft({ text, once: crypto.randomUUID() });
    setProblem(undefined);
  };

  const submit = () =>
    start(async () => {
      try {
        await queue(draft.text, draft.once);
        setProblem(undefined);
        setDraft({ text: "", once: "" });
      } catch (error) {
        setProblem((error as Error).message);
      }
    });

  return (
    <form
      className="compose"
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      <label htmlFor={field}>A document to summarize</label>
      <textarea
        id={field}
        rows={5}
        placeholder="Paste its text. Its first line becomes its title."
        value={draft.text}
        aria-invalid={problem !== undefined}
        aria-describedby={problem && `${field}-problem`}
        onChange={(event) => write(event.target.value)}
      />
      {problem && (
        <p className="problem" role="alert" id={`${field}-problem`}>
          {problem}
        </p>
      )}
      <div className="actions">
        <button type="submit" className="primary" disabled={sending}>
          {sending ? "Sending …" : "Summarize"}
        </button>
        <button type="button" onClick={() => write(SAMPLE)}>
          Use a sample
        </button>
      </div>
    </form>
  );
}
