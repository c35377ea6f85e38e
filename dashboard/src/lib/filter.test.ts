import { describe, expect, it } from "vitest";
import {
  isEmptyFilter,
  parseBox,
  parseFilter,
  parseSearch,
  printBox,
  printFilter,
  printSearch,
} from "./filter";

const spec = { state: { list: ["queued", "failed", "canceled"] }, type: "text", user: "text" } as const;

describe("filters", () => {
  it("is the same after the address and back", () => {
    const filter = { state: ["failed", "canceled"], user: "a b,c:d&e=%" } as const;
    const search = printSearch(printFilter(spec, { ...filter, state: [...filter.state] }));
    expect(search).toBe("?state=failed,canceled&user=a+b,c:d%26e%3D%25");
    expect(parseFilter(spec, parseSearch(search))).toEqual(filter);
  });

  it("is the same after the box and back", () => {
    const filter = { state: ["queued" as const], type: "summarize", user: 'two "words"' };
    const box = printBox(spec, filter);
    expect(box).toBe('state:queued type:summarize user:"two \\"words\\""');
    expect(parseBox(spec, box)).toEqual({ filter });
  });

  it("leaves out what it does not know", () => {
    expect(parseFilter(spec, { state: "failed,gone", colour: "red", type: "" })).toEqual({
      state: ["failed"],
    });
    expect(parseFilter(spec, { state: 7 })).toEqual({});
    expect(isEmptyFilter(spec, {})).toBe(true);
    expect(isEmptyFilter(spec, { type: "x" })).toBe(false);
  });

  it("says what is wrong in the box", () => {
    expect(parseBox(spec, "hello").problem).toBe("“hello” is no filter. Use state:, type:, user:");
    expect(parseBox(spec, "colour:red").problem).toContain("“colour:” is no filter");
    expect(parseBox(spec, "state:gone").problem).toBe(
      "state: is one of queued, failed, canceled, or several with commas",
    );
    expect(parseBox(spec, "  ")).toEqual({ filter: {} });
  });
});
