import { describe, expect, it } from "vitest";
import { clockTime } from "../lib/time";
import { connectionWords } from "./LiveState";

const asOf = Date.parse("2026-11-28T14:03:00Z");
const words = (phase: Parameters<typeof connectionWords>[0]["phase"], waited = 0) =>
  connectionWords(
    { phase, asOf: phase === "live" ? undefined : asOf, problem: undefined, updated: false },
    waited,
  );

describe("the connection's words", () => {
  it("says what is, and how old the data is once that matters", () => {
    expect(words("live")).toBe("Live");
    expect(words("reconnecting", 2000)).toBe("Reconnecting");
    expect(words("reconnecting", 11_000)).toBe(`Reconnecting, data from ${clockTime(asOf)}`);
    expect(words("paused")).toBe(`Paused, data from ${clockTime(asOf)}`);
    expect(words("held")).toBe(`Held, data from ${clockTime(asOf)}`);
    expect(words("stopped")).toBe(`Stopped, data from ${clockTime(asOf)}`);
    expect(words("catching_up")).toBe("Catching up");
    expect(
      connectionWords({ phase: "connecting", asOf: undefined, problem: undefined, updated: false }, 60_000),
    ).toBe("Connecting");
  });
});
