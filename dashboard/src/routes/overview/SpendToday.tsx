import type { Overview } from "../../api/overview";
import { exactMoney, money, savedPercent } from "../../lib/money";
import { plural } from "../../lib/number";
import { Block } from "./Block";

export function SpendToday({ total }: { total: Overview["spend_today"] }) {
  const percent = savedPercent(total.cost, total.cost_sync);
  return (
    <Block title="Spend today" aside="since midnight UTC">
      <p className="font-semibold text-figure" title={exactMoney(total.cost)}>
        {money(total.cost, percent === null ? 2 : 4)}
      </p>
      {percent === null ? (
        <p className="text-ink2">Nothing was billed yet.</p>
      ) : (
        <p className="text-ink2">
          <span className={percent > 0 ? "font-semibold text-gain" : "font-semibold"}>
            {money(total.saved, 4)} saved
          </span>{" "}
          · {percent} % of the {money(total.cost_sync, 4)} that the same costs synchronously
        </p>
      )}
      {total.unpriced ? (
        <p className="mt-1 text-ink3 text-meta">
          {plural(total.unpriced, "attempt")} of models without a known price: in none of these amounts.
        </p>
      ) : null}
    </Block>
  );
}
