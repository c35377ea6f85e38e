import { useQueryClient } from "@tanstack/react-query";
import { Pencil } from "lucide-react";
import { type FormEvent, useRef, useState } from "react";
import { setWeight, type TenantRow } from "../../api/operator";
import { count } from "../../lib/number";
import { Button } from "../../ui/Button";
import { Input } from "../../ui/Form";
import { toast, toastProblem } from "../../ui/Toast";

/** A number that can be changed where it stands: Enter stores it, Escape leaves it. */
export function Weight({ row: { id, name, weight } }: { row: TenantRow }) {
  const queries = useQueryClient();
  const [text, setText] = useState<string>();
  const [waits, setWaits] = useState(false);
  const opener = useRef<HTMLButtonElement>(null);

  function close() {
    setText(undefined);
    requestAnimationFrame(() => opener.current?.focus());
  }

  async function store(event: FormEvent) {
    event.preventDefault();
    const next = Number(text);
    if (next === weight) return close();
    setWaits(true);
    try {
      await setWeight(id, next);
      await queries.invalidateQueries({ queryKey: ["operator", "tenants"] });
      toast(`${name} has the weight ${count(next)} from the next batches on`);
      close();
    } catch (error) {
      toastProblem(`${name} has the same weight as before`, error);
    } finally {
      setWaits(false);
    }
  }

  if (text === undefined)
    return (
      <Button
        ref={opener}
        kind="ghost"
        aria-label={`Change the weight of ${name}: ${weight}`}
        title="Change the weight"
        onClick={() => setText(String(weight))}
      >
        {count(weight)}
        <Pencil className="size-3 text-ink3" aria-hidden="true" />
      </Button>
    );
  return (
    <form onSubmit={(event) => void store(event)} className="inline-flex items-center gap-1">
      <Input
        autoFocus
        type="number"
        required
        min={1}
        max={10_000}
        step={1}
        aria-label={`Weight of ${name}, from 1 to 10,000; 100 is the usual`}
        className="!w-20 text-right"
        value={text}
        onChange={(event) => setText(event.target.value)}
        onFocus={(event) => event.target.select()}
        onKeyDown={(event) => event.key === "Escape" && close()}
      />
      <Button type="submit" kind="main" disabled={waits}>
        Store
      </Button>
      <Button kind="ghost" onClick={close}>
        Back
      </Button>
    </form>
  );
}
