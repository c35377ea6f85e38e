// Money is exact: the API says dollars as decimal strings down to a pico-dollar, and so no float ever
// touches an amount. Only this file writes money for a person.

const SCALE = 12; // pico-dollars: 10^-12
const PICO = 10n ** BigInt(SCALE);

/** An amount of the API, in pico-dollars. */
export function parseDollars(text: string): bigint {
  const match = /^(-?)(\d+)(?:\.(\d{1,12}))?$/.exec(text);
  if (!match) throw new Error(`not an amount of dollars: ${text}`);
  const [, sign, whole = "0", fraction = ""] = match;
  const pico = BigInt(whole) * PICO + BigInt(fraction.padEnd(SCALE, "0"));
  return sign ? -pico : pico;
}

/** The API's spelling of pico-dollars: exact, without needless zeros. */
export function printDollars(pico: bigint): string {
  const size = pico < 0n ? -pico : pico;
  const fraction = String(size % PICO)
    .padStart(SCALE, "0")
    .replace(/0+$/, "");
  return `${pico < 0n ? "-" : ""}${size / PICO}${fraction && `.${fraction}`}`;
}

export const addDollars = (...amounts: string[]): string =>
  printDollars(amounts.reduce((sum, amount) => sum + parseDollars(amount), 0n));

export const subtractDollars = (from: string, amount: string): string =>
  printDollars(parseDollars(from) - parseDollars(amount));

export function compareDollars(a: string, b: string): number {
  const difference = parseDollars(a) - parseDollars(b);
  return difference < 0n ? -1 : difference > 0n ? 1 : 0;
}

const grouped = (whole: bigint) => String(whole).replace(/\B(?=(\d{3})+$)/g, ",");

/**
 * For a person, with a fixed number of decimals (one precision a column), rounded half away from zero.
 * What is more than nothing is never shown as nothing: `<$0.01`. No amount is `no price`, never `$0`.
 */
export function money(amount: string | null | undefined, decimals = 2): string {
  if (amount === null || amount === undefined) return "no price";
  const pico = parseDollars(amount);
  const sign = pico < 0n ? "−" : "";
  const size = pico < 0n ? -pico : pico;
  const unit = 10n ** BigInt(SCALE - decimals);
  const rounded = (size + unit / 2n) / unit;
  if (rounded === 0n && size > 0n) return `${sign && "> −"}${sign ? "" : "<"}$${smallest(decimals)}`;
  const one = 10n ** BigInt(decimals);
  const fraction = decimals > 0 ? `.${String(rounded % one).padStart(decimals, "0")}` : "";
  return `${sign}$${grouped(rounded / one)}${fraction}`;
}

const smallest = (decimals: number) => (decimals > 0 ? `0.${"1".padStart(decimals, "0")}` : "1");

/** Every digit there is, for detail and titles. */
export function exactMoney(amount: string | null | undefined): string {
  if (amount === null || amount === undefined) return "no price";
  const [whole = "0", fraction = ""] = printDollars(parseDollars(amount)).split(".");
  const negative = whole.startsWith("-");
  return `${negative ? "−" : ""}$${grouped(BigInt(negative ? whole.slice(1) : whole))}.${fraction.padEnd(2, "0")}`;
}

/** How many decimals show the largest of these with at least three digits: one precision for a column. */
export function decimalsFor(amounts: readonly (string | null | undefined)[]): number {
  let most = 0n;
  for (const amount of amounts) {
    const pico = amount ? parseDollars(amount) : 0n;
    const size = pico < 0n ? -pico : pico;
    if (size > most) most = size;
  }
  if (most === 0n || most >= PICO) return 2;
  return Math.min(SCALE, SCALE - String(most).length + 3);
}

/** A mark of an axis, which the page chose itself: `$0.002`. */
export const tickDollars = (mark: number): string => exactMoney(mark.toFixed(SCALE - 2));

/** How much of `full` was not paid, in whole percent; null where there is nothing to compare. */
export function savedPercent(paid: string, full: string): number | null {
  const all = parseDollars(full);
  if (all <= 0n) return null;
  const tenths = ((all - parseDollars(paid)) * 1000n) / all;
  return Math.round(Number(tenths) / 10);
}

/** For the length of a bar only: the one place where an amount becomes a float. Never printed. */
export const dollarsForScale = (amount: string): number => Number(parseDollars(amount)) / 1e12;
