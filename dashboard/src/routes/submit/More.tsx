import type { Schemas } from "../../api/client";
import { Area, Field, Select } from "../../ui/Form";

/** As it is typed; empty is not said. */
export type MoreTyped = {
  priority: "" | Schemas["Priority"];
  late: "" | Schemas["OnLate"];
  metadata: string;
};

export const NO_MORE: MoreTyped = { priority: "", late: "", metadata: "" };

/** What the jobs say besides. The server judges it; only what is no JSON cannot be sent. */
export function readMore(typed: MoreTyped): {
  said: Pick<Schemas["JobRequest"], "priority" | "on_late" | "metadata">;
  problem?: string;
} {
  const said = {
    ...(typed.priority && { priority: typed.priority }),
    ...(typed.late && { on_late: typed.late }),
  };
  if (typed.metadata.trim() === "") return { said };
  try {
    return { said: { ...said, metadata: JSON.parse(typed.metadata) } };
  } catch {
    return { said, problem: "This is not JSON." };
  }
}

/** What most jobs do without. It opens by itself when something in it is wrong. */
export function More({
  typed,
  problems,
  onChange,
}: {
  typed: MoreTyped;
  problems: Readonly<Record<string, string>>;
  onChange: (changed: Partial<MoreTyped>) => void;
}) {
  const wrong = ["priority", "on_late", "metadata"].some((name) => problems[name]);
  return (
    <details open={wrong || undefined} className="group">
      <summary className="cursor-pointer text-ink2">More</summary>
      <div className="mt-3 grid gap-4 md:grid-cols-2">
        <Field name="Priority" hint="Which of your own waiting jobs go first." problem={problems.priority}>
          {(field) => (
            <Select
              {...field}
              value={typed.priority}
              onChange={({ target }) => onChange({ priority: target.value as MoreTyped["priority"] })}
              options={[
                ["", "Not said"],
                ["low", "low"],
                ["normal", "normal"],
                ["high", "high"],
              ]}
            />
          )}
        </Field>
        <Field
          name="If it would be late"
          hint="Only with a time within which it is wanted."
          problem={problems.on_late}
        >
          {(field) => (
            <Select
              {...field}
              value={typed.late}
              onChange={({ target }) => onChange({ late: target.value as MoreTyped["late"] })}
              options={[
                ["", "As its job type says"],
                ["wait", "Wait for the batch"],
                ["escalate", "Call directly, at the normal price"],
                ["fail", "Fail"],
              ]}
            />
          )}
        </Field>
        <div className="md:col-span-2">
          <Field
            name="Metadata"
            hint="A small JSON object of your own, given back with each result."
            problem={problems.metadata}
          >
            {(field) => (
              <Area
                {...field}
                rows={3}
                className="font-mono text-meta"
                placeholder={'{"invoice": 17}'}
                value={typed.metadata}
                onChange={({ target }) => onChange({ metadata: target.value })}
              />
            )}
          </Field>
        </div>
      </div>
    </details>
  );
}
