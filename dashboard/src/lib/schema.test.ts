import { expect, it } from "vitest";
import { documentField, fieldsOf, readInput } from "./schema";

// The input of the shipped `classify`, and one field that no form can say.
const SCHEMA = {
  type: "object",
  properties: {
    hint: { type: "string", maxLength: 10000 },
    text: { type: "string", minLength: 1 },
    categories: { type: "array", items: { type: "string", maxLength: 200 }, minItems: 2 },
    max_words: { type: "integer", default: 120 },
    strict: { type: "boolean" },
    tone: { type: "string", enum: ["plain", "formal"] },
    extra: { type: "object" },
  },
  required: ["text", "categories"],
};

it("makes a field of each member, and an input of what is typed", () => {
  const fields = fieldsOf(SCHEMA);
  expect(fields.map(({ name, kind }) => [name, kind])).toEqual([
    ["text", "text"],
    ["categories", "lines"],
    ["hint", "text"],
    ["max_words", "integer"],
    ["strict", "yes"],
    ["tone", "choice"],
    ["extra", "json"],
  ]);
  expect(documentField(fields)?.name).toBe("text");
  const typed = {
    text: " a\n",
    categories: "one\n\n two ",
    max_words: "30",
    strict: "true",
    extra: '{"a":1}',
  };
  expect(readInput(fields, typed)).toEqual({
    input: { text: " a\n", categories: ["one", "two"], max_words: 30, strict: true, extra: { a: 1 } },
    problems: {},
  });
  expect(readInput(fields, { extra: "{", max_words: "ten" }).problems).toEqual({
    text: "This is needed.",
    categories: "This is needed.",
    max_words: "This is not a number.",
    extra: "This is not JSON.",
  });
});
