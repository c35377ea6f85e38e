// From a JSON schema of an object to the fields of a form, and back. What a form cannot say is JSON.

export type InputField = {
  name: string;
  kind: "text" | "short" | "number" | "integer" | "choice" | "yes" | "lines" | "json";
  required: boolean;
  description: string | undefined;
  choices: readonly string[];
  /** What is taken when it stays empty, as the schema says. */
  preset: string | undefined;
};

type Node = Record<string, unknown>;

const isNode = (value: unknown): value is Node =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const text = (value: unknown) => (typeof value === "string" ? value : undefined);

/** So long that it is written in several lines. */
const LONG = 300;

function kindOf(schema: Node): InputField["kind"] {
  if (Array.isArray(schema.enum) && schema.enum.every((word) => typeof word === "string")) return "choice";
  switch (schema.type) {
    case "string":
      return typeof schema.maxLength === "number" && schema.maxLength <= LONG ? "short" : "text";
    case "number":
      return "number";
    case "integer":
      return "integer";
    case "boolean":
      return "yes";
    case "array":
      return isNode(schema.items) && schema.items.type === "string" && !schema.items.enum ? "lines" : "json";
    default:
      return "json";
  }
}

export function fieldsOf(schema: unknown): InputField[] {
  if (!isNode(schema) || !isNode(schema.properties)) return [];
  const required = Array.isArray(schema.required) ? schema.required : [];
  return Object.entries(schema.properties)
    .map(([name, value]) => {
      const node = isNode(value) ? value : {};
      const kind = kindOf(node);
      return {
        name,
        kind,
        required: required.includes(name),
        description: text(node.description),
        choices: kind === "choice" ? (node.enum as string[]) : [],
        preset: node.default === undefined ? undefined : String(node.default),
      };
    })
    .sort((a, b) => Number(b.required) - Number(a.required));
}

/** The field that takes the document: `text`, or else the first long one that is required. */
export const documentField = (fields: readonly InputField[]): InputField | undefined =>
  fields.find(({ name, kind }) => name === "text" && kind === "text") ??
  fields.find(({ kind, required }) => kind === "text" && required);

/** What is typed, as a member of the input; undefined where it stays empty. */
function memberOf(field: InputField, typed: string): unknown {
  if (field.kind === "text" || field.kind === "short" || field.kind === "choice") return typed || undefined;
  if (typed.trim() === "") return undefined;
  switch (field.kind) {
    case "number":
    case "integer":
      if (Number.isNaN(Number(typed))) throw new TypeError("not a number");
      return Number(typed);
    case "yes":
      return typed === "true";
    case "lines":
      return typed
        .split("\n")
        .map((line) => line.trim())
        .filter(Boolean);
    default:
      return JSON.parse(typed) as unknown;
  }
}

export type Typed = Readonly<Record<string, string>>;

/** The input, or by field what is wrong. The server checks all the rest. */
export function readInput(
  fields: readonly InputField[],
  typed: Typed,
): { input: Record<string, unknown>; problems: Record<string, string> } {
  const input: Record<string, unknown> = {};
  const problems: Record<string, string> = {};
  for (const field of fields) {
    try {
      const value = memberOf(field, typed[field.name] ?? "");
      if (value !== undefined) input[field.name] = value;
      else if (field.required) problems[field.name] = "This is needed.";
    } catch {
      problems[field.name] = field.kind === "json" ? "This is not JSON." : "This is not a number.";
    }
  }
  return { input, problems };
}
