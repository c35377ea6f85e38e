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

  it("reads instants, and in the box how long ago", () => {
    const timed = { since: "time", why: { one: ["a", "b"] } } as const;
    expect(parseFilter(timed, { since: "2026-11-28T06:00:00+01:00", why: "c" })).toEqual({
      since: "2026-11-28T05:00:00Z",
    });
    expect(parseFilter(timed, { since: "24h" })).toEqual({});
    const { filter } = parseBox(timed, "since:90m why:b");
    expect(filter.why).toBe("b");
    const length = Date.now() - Date.parse(filter.since ?? "");
    expect(length).toBeGreaterThanOrEqual(90 * 60_000);
    expect(length).toBeLessThan(90 * 60_000 + 5000);
    expect(parseBox(timed, "since:soon").problem).toContain("since: is a time like");
    expect(parseBox(timed, "why:c").problem).toBe("why: is one of a, b");
  });
});
