import { describe, expect, it } from "vitest";
import { absolute, duration, relative, short } from "./time";

describe("durations", () => {
  it("has two units at most, and cuts instead of rounding up", () => {
    expect(duration(850)).toBe("850 ms");
    expect(duration(9_990)).toBe("9.9 s");
    expect(duration(59_999)).toBe("59 s");
    expect(duration(251_000)).toBe("4 m 11 s");
    expect(duration(120_000)).toBe("2 m");
    expect(duration(7_500_000)).toBe("2 h 5 m");
    expect(duration(273_600_000)).toBe("3 d 4 h");
    expect(duration(-5)).toBe("0 ms");
  });

  it("has one unit on rows", () => {
    expect(short(59_000)).toBe("59 s");
    expect(short(3_599_000)).toBe("59 m");
    expect(short(90_000_000)).toBe("1 d");
  });
});

describe("moments", () => {
  const now = Date.parse("2026-11-28T12:00:00Z");

  it("is relative both ways", () => {
    expect(relative("2026-11-28T11:56:00Z", now)).toBe("4 m ago");
    expect(relative("2026-11-28T12:04:00Z", now)).toBe("in 4 m");
    expect(relative("2026-11-28T12:00:00.400Z", now)).toBe("now");
  });

  it("names the zone", () => {
    expect(absolute("2026-11-28T12:00:00Z")).toMatch(/\d\d:\d\d:\d\d.*(UTC|GMT|[A-Z]{3,4})/);
  });
});
