import { exactMoney, money } from "../lib/money";

/** An amount of the API at its column's precision; every digit on hover. */
export function Cost({ amount, decimals }: { amount: string | null | undefined; decimals?: number }) {
  if (amount === null || amount === undefined) return <span className="text-ink3">no price</span>;
  return <span title={exactMoney(amount)}>{money(amount, decimals)}</span>;
}
