import { keepPreviousData, queryOptions } from "@tanstack/react-query";
import { addDollars } from "../lib/money";
import { at } from "../lib/root";
import { api, body, type Schemas } from "./client";

export type UsageTotal = Schemas["UsageTotal"];
export type UsageRow = Schemas["UsageRow"];
export type UsageReport = Schemas["UsageReport"];

export const USAGE_PARTS = ["model", "type", "user", "lane"] as const;
export type UsagePart = (typeof USAGE_PARTS)[number];

/** The API gives no more rows than this as JSON; its total, and its CSV, hold all. */
export const MAX_ROWS = 10_000;

type Span = { from: string; to: string; part: UsagePart | undefined };

const by = (part: UsagePart | undefined) => (part ? `day,${part}` : "day");

export const usageQuery = ({ from, to, part }: Span) =>
  queryOptions({
    queryKey: ["usage", from, to, part ?? ""],
    queryFn: async ({ signal }): Promise<UsageReport> => {
      const query = { from, to, by: by(part) };
      // The document names CSV too, which is given only to who asks for it.
      return body(await api.GET("/v1/usage", { params: { query }, signal })) as UsageReport;
    },
    placeholderData: keepPreviousData,
    meta: { live: "topic" },
  });

export const usageCsv = ({ from, to, part }: Span): string =>
  at(`/v1/usage?from=${from}&to=${to}&by=${by(part)}&format=csv`);

/** Whether no amount of it is known: then there is nothing to say of money, not even that it is 0. */
export const unpricedOnly = (total: UsageTotal): boolean =>
  total.attempts > 0 && (total.unpriced ?? 0) >= total.attempts;

export function addTotals(a: UsageTotal, b: UsageTotal): UsageTotal {
  const dollars = (x: string | undefined, y: string | undefined) => addDollars(x ?? "0", y ?? "0");
  return {
    attempts: a.attempts + b.attempts,
    unpriced: (a.unpriced ?? 0) + (b.unpriced ?? 0),
    input_tokens: a.input_tokens + b.input_tokens,
    output_tokens: a.output_tokens + b.output_tokens,
    cache_write_tokens: a.cache_write_tokens + b.cache_write_tokens,
    cache_read_tokens: a.cache_read_tokens + b.cache_read_tokens,
    web_searches: (a.web_searches ?? 0) + (b.web_searches ?? 0),
    cost: addDollars(a.cost, b.cost),
    cost_sync: addDollars(a.cost_sync, b.cost_sync),
    saved: addDollars(a.saved, b.saved),
    saved_batch: dollars(a.saved_batch, b.saved_batch),
    saved_cache: dollars(a.saved_cache, b.saved_cache),
    saved_reuse: dollars(a.saved_reuse, b.saved_reuse),
  };
}
