// Filters live in the URL and nowhere else. Two spellings of the same filter: the address
// (`?state=failed,canceled&type=summarize`) and the box (`state:failed,canceled type:summarize`).

/** What a screen can filter by: `list` holds several of a closed set, `one` a single one of it, `text` is
 *  one free value, `time` an instant. */
type Kind = { list: readonly string[] } | { one: readonly string[] } | "text" | "time";
export type FilterSpec = Record<string, Kind>;

export type FilterOf<S extends FilterSpec> = {
  [K in keyof S]?: S[K] extends { list: readonly (infer V)[] }
    ? V[]
    : S[K] extends { one: readonly (infer V)[] }
      ? V
      : string;
};

type Loose = Record<string, string | string[] | undefined>;

/** As the API and the address say an instant; undefined if it is none. */
export function instant(text: string): string | undefined {
  const at = Date.parse(text);
  return Number.isNaN(at) ? undefined : new Date(at).toISOString().replace(".000Z", "Z");
}

const LENGTHS: Record<string, number> = { m: 60_000, h: 3_600_000, d: 86_400_000 };

/** In the box also how long ago: `90m`, `24h`, `7d`. To the second, as an address is read by people. */
function typedInstant(text: string): string | undefined {
  const [, n, unit = ""] = /^(\d{1,5})([mhd])$/.exec(text) ?? [];
  const length = LENGTHS[unit];
  if (n === undefined || length === undefined) return instant(text);
  return ago(Number(n) * length);
}

export const ago = (length: number): string | undefined =>
  instant(new Date(Math.floor((Date.now() - length) / 1000) * 1000).toISOString());

/** From the address's parameters. What it does not know or cannot be is left out. */
export function parseFilter<S extends FilterSpec>(spec: S, search: Record<string, unknown>): FilterOf<S> {
  const filter: Loose = {};
  for (const [key, kind] of Object.entries(spec)) {
    const value = search[key];
    if (typeof value !== "string" || value === "") continue;
    if (kind === "text") filter[key] = value;
    else if (kind === "time") filter[key] = instant(value);
    else if ("one" in kind) filter[key] = kind.one.find((word) => word === value);
    else {
      const found = kind.list.filter((word) => value.split(",").includes(word));
      if (found.length > 0) filter[key] = found;
    }
  }
  return filter as FilterOf<S>;
}

/** For the address and for the API, which spell a filter alike. */
export function printFilter<S extends FilterSpec>(spec: S, filter: FilterOf<S>): Record<string, string> {
  const search: Record<string, string> = {};
  for (const key of Object.keys(spec)) {
    const value = (filter as Loose)[key];
    if (value && value.length > 0) search[key] = typeof value === "string" ? value : value.join(",");
  }
  return search;
}

export const isEmptyFilter = <S extends FilterSpec>(spec: S, filter: FilterOf<S>): boolean =>
  Object.keys(printFilter(spec, filter)).length === 0;

/** Words of the box: `key:value`, `key:"two words"`, or a bare word. */
const WORDS = /([a-z_]+):(?:"((?:[^"\\]|\\.)*)"|(\S*))|(\S+)/g;

/** From the box. `problem` says what was not understood and what would be. */
export function parseBox<S extends FilterSpec>(
  spec: S,
  text: string,
): { filter: FilterOf<S>; problem?: string } {
  const search: Record<string, string> = {};
  const keys = Object.keys(spec).map((key) => `${key}:`);
  for (const [, key, quoted, plain, bare] of text.matchAll(WORDS)) {
    if (bare !== undefined || key === undefined || !(key in spec)) {
      const word = bare ?? `${key}:`;
      return { filter: parseFilter(spec, search), problem: `“${word}” is no filter. Use ${keys.join(", ")}` };
    }
    const value = quoted?.replace(/\\(.)/g, "$1") ?? plain ?? "";
    const kind = spec[key];
    const problem = kind && wrongValue(key, kind, value);
    if (problem) return { filter: parseFilter(spec, search), problem };
    search[key] = kind === "time" ? (typedInstant(value) ?? "") : value;
  }
  return { filter: parseFilter(spec, search) };
}

function wrongValue(key: string, kind: Kind, value: string): string | undefined {
  if (kind === "text") return undefined;
  if (kind === "time")
    return typedInstant(value) ? undefined : `${key}: is a time like 2026-11-28T05:00Z, or 90m, 24h, 7d ago`;
  if ("one" in kind) return kind.one.includes(value) ? undefined : `${key}: is one of ${kind.one.join(", ")}`;
  return value.split(",").every((word) => kind.list.includes(word))
    ? undefined
    : `${key}: is one of ${kind.list.join(", ")}, or several with commas`;
}

/** For the box. */
export function printBox<S extends FilterSpec>(spec: S, filter: FilterOf<S>): string {
  return Object.entries(printFilter(spec, filter))
    .map(([key, value]) => `${key}:${/[\s"]/.test(value) ? `"${value.replace(/["\\]/g, "\\$&")}"` : value}`)
    .join(" ");
}

/** The address's parameters as plain strings: readable, and the same after a reload. */
export const parseSearch = (search: string): Record<string, string> =>
  Object.fromEntries(new URLSearchParams(search));

export function printSearch(search: Record<string, unknown>): string {
  const params = new URLSearchParams();
  for (const [key, value] of Object.entries(search))
    if (value !== undefined && value !== null && value !== "") params.set(key, String(value));
  const text = params.toString().replaceAll("%2C", ",").replaceAll("%3A", ":");
  return text && `?${text}`;
}
