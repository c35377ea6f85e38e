import { describe, expect, it } from "vitest";
import {
  addDollars,
  compareDollars,
  exactMoney,
  money,
  parseDollars,
  printDollars,
  savedPercent,
  subtractDollars,
} from "./money";

describe("amounts", () => {
  it("keeps every digit", () => {
    expect(parseDollars("0.0000000625")).toBe(62_500n);
    expect(printDollars(62_500n)).toBe("0.0000000625");
    expect(printDollars(parseDollars("90071992547409.929999999999"))).toBe("90071992547409.929999999999");
  });

  it("adds what floats cannot", () => {
    expect(addDollars("0.1", "0.2")).toBe("0.3");
    expect(subtractDollars("0.3", "0.1")).toBe("0.2");
    expect(subtractDollars("0.1", "0.3")).toBe("-0.2");
    expect(compareDollars("0.3", addDollars("0.1", "0.2"))).toBe(0);
    expect(compareDollars("10", "9.5")).toBe(1);
  });

  it("refuses what is no amount", () => {
    for (const wrong of ["", "1e3", "$1", ".5", "1.", "0.0000000000001"])
      expect(() => parseDollars(wrong), wrong).toThrow();
  });
});

describe("money for a person", () => {
  it("rounds half away from zero to the column's precision", () => {
    expect(money("1.005")).toBe("$1.01");
    expect(money("-1.005")).toBe("−$1.01");
    expect(money("0.0008125", 4)).toBe("$0.0008");
    expect(money("1234567.891")).toBe("$1,234,567.89");
    expect(money("999.995")).toBe("$1,000.00");
    expect(money("12.5", 0)).toBe("$13");
  });

  it("never shows something as nothing, nor nothing as something", () => {
    expect(money("0")).toBe("$0.00");
    expect(money("0.000001")).toBe("<$0.01");
    expect(money("-0.000001")).toBe("> −$0.01");
    expect(money("0.00001", 4)).toBe("<$0.0001");
    expect(money(undefined)).toBe("no price");
    expect(money(null)).toBe("no price");
  });

  it("shows all digits where asked", () => {
    expect(exactMoney("0.0008125")).toBe("$0.0008125");
    expect(exactMoney("1200")).toBe("$1,200.00");
    expect(exactMoney("-0.5")).toBe("−$0.50");
  });

  it("says what was saved", () => {
    expect(savedPercent("0.5", "1")).toBe(50);
    expect(savedPercent("1.2", "1")).toBe(-20);
    expect(savedPercent("0", "0")).toBeNull();
  });
});
