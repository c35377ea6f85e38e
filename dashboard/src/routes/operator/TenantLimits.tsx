import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import {
  type TenantLimits as Shown,
  setTenantLimits,
  type TenantLimitsChange,
  tenantLimitsQuery,
} from "../../api/limits";
import { LIMITS, LimitList, limitWords } from "../../parts/LimitList";
import { Button } from "../../ui/Button";
import { Field, Input } from "../../ui/Form";
import { ProblemNote } from "../../ui/ProblemNote";
import { SkeletonText } from "../../ui/Skeleton";
import { toast, toastProblem } from "../../ui/Toast";

/** What a tenant may take, with what it uses; its operator can change it. */
export function TenantLimits({ id, name }: { id: string; name: string }) {
  const read = useQuery(tenantLimitsQuery(id));
  const [changes, setChanges] = useState(false);
  if (read.isPending) return <SkeletonText lines={6} label="Loading limits" />;
  if (!read.data) return <ProblemNote error={read.error} onRetry={() => void read.refetch()} />;
  if (changes) return <Form id={id} name={name} shown={read.data} onClose={() => setChanges(false)} />;
  return (
    <>
      <LimitList limits={read.data.data} />
      <Button className="mt-3" onClick={() => setChanges(true)}>
        Change limits
      </Button>
    </>
  );
}

function Form({ id, name, shown, onClose }: { id: string; name: string; shown: Shown; onClose: () => void }) {
  const queries = useQueryClient();
  const [waits, setWaits] = useState(false);

  async function store(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const given = new FormData(event.currentTarget);
    const change: TenantLimitsChange = {};
    for (const [limit] of LIMITS) {
      const text = String(given.get(limit) ?? "").trim();
      if (text !== "") change[limit] = Number(text);
    }
    setWaits(true);
    try {
      queries.setQueryData(tenantLimitsQuery(id).queryKey, await setTenantLimits(id, change));
      toast(`${name} has these limits within five seconds`);
      onClose();
    } catch (error) {
      toastProblem(`${name} has the same limits as before`, error);
      setWaits(false);
    }
  }

  return (
    <form onSubmit={(event) => void store(event)} className="flex flex-col gap-3">
      {LIMITS.map(([limit, words]) => {
        const row = shown.data.find((one) => one.name === limit);
        if (!row) return null;
        return (
          <Field
            key={limit}
            name={words}
            hint={`Empty: as elsewhere, ${limitWords(limit, row.default)}; 0: no limit.`}
          >
            {(field) => (
              <Input
                {...field}
                type="number"
                min={0}
                max={Number.MAX_SAFE_INTEGER}
                step={1}
                name={limit}
                defaultValue={row.own ? row.value : ""}
                placeholder={String(row.default)}
              />
            )}
          </Field>
        );
      })}
      <div className="flex gap-2">
        <Button type="submit" kind="main" disabled={waits}>
          Store the limits
        </Button>
        <Button kind="ghost" onClick={onClose}>
          Back
        </Button>
      </div>
    </form>
  );
}
