import type { Group } from "../api/groups";
import { plural } from "../lib/number";
import { ms, useNow } from "../lib/time";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** `10 to 25 min`, `1.5 to 3 h`: no more exact than what it is learned from. */
export function range(from: number, to: number): string {
  if (to < MINUTE) return "less than a minute";
  const [unit, word] = to < 2 * HOUR ? [MINUTE, "min"] : [HOUR, "h"];
  const round = (time: number) =>
    unit === HOUR ? Math.round((2 * time) / HOUR) / 2 : Math.round(time / MINUTE);
  const [low, high] = [round(Math.max(0, from)), Math.max(1, round(to))];
  if (low === 0) return `up to ${high} ${word}`;
  return low >= high ? `about ${high} ${word}` : `${low} to ${high} ${word}`;
}

/** How long it still takes, in words; undefined where past batches say nothing. */
export function leftWords({ left, done }: Pick<Group, "left" | "done">, now: number): string | undefined {
  if (!left || done) return undefined;
  const [from, to] = [ms(left.from) - now, ms(left.to) - now];
  return to <= 0 ? "longer than usual" : `${range(from, to)} left`;
}

/** On a row. */
export function Left({ group }: { group: Group }) {
  const now = useNow();
  const words = leftWords(group, now);
  if (!words) return <span className="text-ink3">–</span>;
  return <>{words}</>;
}

/** In full: with what it rests on. */
export function LeftInFull({ group }: { group: Pick<Group, "left" | "done"> }) {
  const now = useNow();
  const words = leftWords(group, now);
  if (!group.left || !words) return <span className="text-ink3">No estimate yet</span>;
  const from = `from ${plural(group.left.batches, "past batch", "past batches")}`;
  if (ms(group.left.to) <= now) return `Longer than usual, ${from}`;
  const late = group.left.late ? "; one batch takes longer than usual" : "";
  return `${words}, ${from}${late}`;
}
