import { asProblem } from "../../api/problem";

/** What the server finds wrong, by the field of the form: `/metadata` and `/input/max_words` are told there.
 *  Of many lines that have it, the first speaks. */
export function byField(error: unknown): Record<string, string> {
  const found: Record<string, string> = {};
  for (const { field, message } of asProblem(error).fields) {
    const name = field.replace(/^\/(?:input\/)?/, "").split("/")[0];
    if (name) found[name] ??= message;
  }
  return found;
}
