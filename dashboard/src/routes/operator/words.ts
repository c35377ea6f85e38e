const toTheSecond = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});

/** `14:03:22`, in the reader's zone. */
export const clockSeconds = (iso: string): string => toTheSecond.format(Date.parse(iso));

/** `62 %`, `0.4 %`: one digit more where it is little, and never 0 for what is more than that. */
export function percent(part: number): string {
  const of100 = part * 100;
  if (of100 === 0 || of100 >= 9.95) return `${Math.round(of100)} %`;
  return of100 < 0.1 ? "<0.1 %" : `${of100.toFixed(1)} %`;
}
