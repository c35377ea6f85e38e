import { describe, expect, it } from "vitest";
import { indentJson, memberSource } from "./json";

describe("JSON from its source", () => {
  it("keeps numbers and strings as they came", () => {
    const source =
      '{"big":12345678901234567890,"e":1.50,"s":"a\\"{b},\\u0000","none":[],"o":{},"l":[1,{"x":null}]}';
    const text = indentJson(source);
    expect(text).toBe(
      `{\n  "big": 12345678901234567890,\n  "e": 1.50,\n  "s": "a\\"{b},\\u0000",\n  "none": [],\n  "o": {},\n  "l": [\n    1,\n    {\n      "x": null\n    }\n  ]\n}`,
    );
    expect(JSON.parse(text)).toEqual(JSON.parse(source));
  });

  it("finds one member", () => {
    const source = '{"text":"output","o":{"output":1},"output": {"n": 9007199254740993} , "z":0}';
    expect(memberSource(source, "output")).toBe('{"n": 9007199254740993}');
    expect(memberSource(source, "z")).toBe("0");
    expect(memberSource(source, "n")).toBeUndefined();
    expect(memberSource("[1]", "output")).toBeUndefined();
  });
});
