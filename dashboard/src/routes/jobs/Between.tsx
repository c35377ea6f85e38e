import { type FormEvent, useState } from "react";
import { instant } from "../../lib/filter";
import { ms } from "../../lib/time";
import { Button } from "../../ui/Button";
import { Dialog } from "../../ui/Dialog";

/** As the browser's field for a time has it: in the reader's zone, without saying so. */
function local(iso: string | undefined): string {
  if (!iso) return "";
  const offset = new Date(iso).getTimezoneOffset() * 60_000;
  return new Date(ms(iso) - offset).toISOString().slice(0, 16);
}

type Range = { since: string | undefined; until: string | undefined };

/** Two times, of which one may be left open. */
export function Between({
  since,
  until,
  onPick,
  onClose,
}: Range & { onPick: (range: Range) => void; onClose: () => void }) {
  const [from, setFrom] = useState(local(since));
  const [to, setTo] = useState(local(until));
  const wrong = from !== "" && to !== "" && from >= to;

  function submit(event: FormEvent) {
    event.preventDefault();
    if (wrong) return;
    onPick({ since: instant(from), until: instant(to) });
    onClose();
  }
  return (
    <Dialog title="Accepted between" onClose={onClose}>
      <form onSubmit={submit} className="flex flex-col gap-3">
        <Field label="From" value={from} onChange={setFrom} />
        <Field label="Until before" value={to} onChange={setTo} />
        <p role="status" className="text-bad text-meta empty:hidden">
          {wrong && "The first time must be before the second."}
        </p>
        <p className="text-ink3 text-meta">
          In your time zone, {Intl.DateTimeFormat().resolvedOptions().timeZone}. Leave one empty for no limit.
        </p>
        <div className="flex justify-end gap-2">
          <Button onClick={onClose}>Back</Button>
          <Button type="submit" kind="main" disabled={wrong || (from === "" && to === "")}>
            Show these
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

function Field({ label, value, onChange }: { label: string; value: string; onChange: (to: string) => void }) {
  return (
    <label className="flex items-center gap-3">
      <span className="w-24 shrink-0 text-ink2">{label}</span>
      <input
        type="datetime-local"
        className="h-7 min-w-0 flex-1 rounded-md border border-line bg-raised px-2"
        value={value}
        onChange={(event) => onChange(event.target.value)}
      />
    </label>
  );
}
