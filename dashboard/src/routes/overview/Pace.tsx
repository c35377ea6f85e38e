import type { Overview, Window } from "../../api/overview";
import { DayBars } from "../../charts/DayBars";
import { count, plural } from "../../lib/number";
import { clockTime, ms } from "../../lib/time";
import { Block } from "./Block";
import { sum } from "./rates";
import { WINDOW_WORDS } from "./WindowPick";

const PARTS = [
  { key: "completed", name: "Completed", tone: "soft" },
  { key: "failed", name: "Failed", tone: "bad" },
  { key: "canceled", name: "Canceled", tone: "wait" },
] as const;

const weekday = new Intl.DateTimeFormat(undefined, { weekday: "short" });

/** Bars, since results come a batch at a time: nothing is smoothed. */
export function Pace({ pace, window }: { pace: Overview["pace"]; window: Window }) {
  const ended = sum([...pace.completed, ...pace.failed, ...pace.canceled]);
  const label = `${plural(sum(pace.accepted), "job")} accepted and ${count(ended)} ended in the ${WINDOW_WORDS[window]}`;
  const from = ms(pace.from);
  const bars = pace.completed.map((completed, nth) => {
    const at = from + nth * pace.step_seconds * 1000;
    const time = clockTime(at);
    return {
      key: String(at),
      label: window === "7d" ? `${weekday.format(at)} ${time}` : time,
      values: { completed, failed: pace.failed[nth] ?? 0, canceled: pace.canceled[nth] ?? 0 },
    };
  });
  return (
    <Block title="Jobs that ended" aside={label}>
      {ended > 0 ? (
        <DayBars label={label} parts={PARTS} bars={bars} format={count} height={150} />
      ) : (
        <p className="text-ink2">None in the {WINDOW_WORDS[window]}.</p>
      )}
    </Block>
  );
}
