import { expect, it } from "vitest";
import { diffLines } from "./diff";

const told = (before: string, after: string) =>
  diffLines(before, after).map(({ kind, text }) => `${{ same: " ", out: "-", in: "+" }[kind]}${text}`);

it("tells what went out and what came in", () => {
  expect(told("a\nb\nc\nd", "a\nx\nc\ny\nd")).toEqual([" a", "-b", "+x", " c", "+y", " d"]);
  expect(told("", "a")).toEqual(["+a"]);
  expect(told("a\na", "a")).toEqual([" a", "-a"]);
  expect(told("same", "same")).toEqual([" same"]);
});
