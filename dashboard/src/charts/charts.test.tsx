import { render, screen } from "@testing-library/react";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { DayBars } from "./DayBars";
import { Lane } from "./Lane";
import { Percentiles } from "./Percentiles";
import { TimeLine } from "./TimeLine";

beforeEach(() => {
  // happy-dom lays nothing out: every chart is 400 px wide.
  vi.stubGlobal(
    "ResizeObserver",
    class {
      readonly tell: (entries: { contentRect: { width: number } }[]) => void;
      constructor(tell: (entries: { contentRect: { width: number } }[]) => void) {
        this.tell = tell;
      }
      observe() {
        this.tell([{ contentRect: { width: 400 } }]);
      }
      disconnect() {}
    },
  );
});

const cells = () =>
  screen.getAllByRole("row").map((row) => [...row.children].map((cell) => cell.textContent));

describe("each chart has a twin in words", () => {
  it("says the days of stacked bars, and draws them to scale", () => {
    render(
      <DayBars
        label="Two days"
        parts={[
          { key: "good", name: "Completed", tone: "soft" },
          { key: "bad", name: "Failed", tone: "bad" },
        ]}
        bars={[
          { key: "1", label: "Mon", values: { good: 30, bad: 10 } },
          { key: "2", label: "Tue", values: { good: 20 } },
        ]}
        format={String}
      />,
    );
    expect(cells()).toEqual([
      ["", "Completed", "Failed"],
      ["Mon", "30", "10"],
      ["Tue", "20", "0"],
    ]);
    const heights = [...document.querySelectorAll("svg rect")].map((rect) =>
      Number(rect.getAttribute("height")),
    );
    expect(heights).toHaveLength(3); // nothing is drawn for nothing
    const [first = 0, second = 0, third = 0] = heights;
    expect(first / second).toBeCloseTo(1.5);
    expect(first / third).toBeCloseTo(3);
  });

  it("says the points of lines", () => {
    render(
      <TimeLine
        label="A line"
        series={[
          {
            name: "Paid",
            kind: "area",
            tone: "gain",
            points: [
              { at: 1, value: 2 },
              { at: 2, value: 4 },
            ],
          },
          { name: "List", kind: "dotted", tone: "ink", points: [{ at: 2, value: 8 }] },
        ]}
        format={(value) => `$${value}`}
        formatAt={(at) => `t${at}`}
      />,
    );
    expect(cells()).toEqual([
      ["Time", "Paid", "List"],
      ["t1", "$2", "–"],
      ["t2", "$4", "$8"],
    ]);
    expect(document.querySelectorAll("svg path")).toHaveLength(3);
  });

  it("says percentiles, and puts them on a log axis that ends at the limit", () => {
    render(
      <Percentiles
        label="Times"
        spreads={[{ key: "a", name: "summarize", p50: 60_000, p95: 86_400_000, n: 40 }]}
      />,
    );
    expect(cells()[1]).toEqual(["summarize", "1 m", "1 d", "40"]);
    const bar = document.querySelector("svg rect");
    expect(Number(bar?.getAttribute("x")) + Number(bar?.getAttribute("width"))).toBeCloseTo(399);
  });

  it("draws a band only where there is one", () => {
    const { rerender } = render(<Lane label="5 m of at most 24 h" age={300_000} limit={86_400_000} />);
    expect(screen.getByRole("img", { name: "5 m of at most 24 h" })).toBeInTheDocument();
    expect(document.querySelectorAll("svg rect")).toHaveLength(1);
    rerender(<Lane label="late" age={900_000} limit={86_400_000} band={{ p50: 300_000, p90: 600_000 }} />);
    expect(document.querySelectorAll("svg rect")).toHaveLength(2);
    expect(document.querySelector(".fill-warn")).not.toBeNull();
  });
});
