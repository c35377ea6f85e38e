import type { InputField, Typed } from "../lib/schema";
import { Area, Field, Input, Select } from "./Form";
import { words } from "./Glyph";

const name = (field: InputField) => {
  const said = words(field.name);
  return said.charAt(0).toUpperCase() + said.slice(1);
};

const hint = (field: InputField) =>
  [
    field.description,
    field.kind === "lines" && "One a line.",
    field.kind === "json" && "As JSON.",
    field.preset !== undefined && `${field.preset} unless said.`,
  ]
    .filter(Boolean)
    .join(" ");

/** The fields of a job type's input. */
export function InputForm({
  fields,
  typed,
  problems,
  onChange,
}: {
  fields: readonly InputField[];
  typed: Typed;
  problems: Readonly<Record<string, string>>;
  onChange: (name: string, text: string) => void;
}) {
  return fields.map((field) => {
    const value = typed[field.name] ?? "";
    const change = (event: { target: { value: string } }) => onChange(field.name, event.target.value);
    return (
      <Field
        key={field.name}
        name={
          <>
            {name(field)} {!field.required && <span className="text-ink3">(may stay empty)</span>}
          </>
        }
        hint={hint(field)}
        problem={problems[field.name]}
      >
        {(props) =>
          field.kind === "choice" || field.kind === "yes" ? (
            <Select
              {...props}
              value={value}
              onChange={change}
              options={[
                ["", field.required ? "Choose" : "Not said"],
                ...(field.kind === "yes"
                  ? ([
                      ["true", "Yes"],
                      ["false", "No"],
                    ] as const)
                  : field.choices.map((choice) => [choice, choice] as const)),
              ]}
            />
          ) : field.kind === "text" || field.kind === "lines" || field.kind === "json" ? (
            <Area
              {...props}
              rows={field.kind !== "text" ? 4 : field.required ? 8 : 2}
              className={field.kind === "json" ? "font-mono text-meta" : undefined}
              value={value}
              onChange={change}
            />
          ) : (
            <Input
              {...props}
              inputMode={
                field.kind === "integer" ? "numeric" : field.kind === "number" ? "decimal" : undefined
              }
              pattern={
                field.kind === "integer" ? "-?\\d+" : field.kind === "number" ? "-?\\d*\\.?\\d+" : undefined
              }
              placeholder={field.preset}
              value={value}
              onChange={change}
            />
          )
        }
      </Field>
    );
  });
}
