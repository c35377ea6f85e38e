import { describe, expect, it } from "vitest";
import { band, linear, log, roundTicks } from "./scale";

describe("scales", () => {
  it("is straight, up or down", () => {
    expect(linear([0, 10], [100, 0])(2.5)).toBe(75);
    expect(linear([5, 5], [0, 10])(5)).toBe(0);
  });

  it("goes by magnitude, and stays inside", () => {
    const scale = log([1, 10_000], [0, 400]);
    expect(scale(100)).toBeCloseTo(200);
    expect(scale(0)).toBe(0);
    expect(scale(1e9)).toBeCloseTo(400);
  });

  it("divides a span into places", () => {
    const places = band(4, [0, 390], 0.1);
    expect(places.at(0)).toBe(0);
    expect(places.at(3) + places.width).toBeCloseTo(390);
  });

  it("ends at a round number that holds everything", () => {
    expect(roundTicks(37)).toEqual([10, 20, 30, 40]);
    expect(roundTicks(40)).toEqual([10, 20, 30, 40]);
    expect(roundTicks(0.3)).toEqual([0.1, 0.2, 0.3]);
    expect(roundTicks(1)).toEqual([0.25, 0.5, 0.75, 1]);
    expect(roundTicks(91_377)).toEqual([25_000, 50_000, 75_000, 100_000]);
    expect(roundTicks(0.00002).at(-1)).toBeGreaterThanOrEqual(0.00002);
  });
});
