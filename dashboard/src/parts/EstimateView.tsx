import { useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { estimate, type JobRequest } from "../api/submit";
import { decimalsFor, exactMoney } from "../lib/money";
import { count, plural } from "../lib/number";
import { Cost } from "../ui/Cost";
import { Fact, Facts } from "../ui/Panel";
import { ProblemNote } from "../ui/ProblemNote";
import { SkeletonText } from "../ui/Skeleton";

/** While somebody types nothing is asked. */
const SETTLED_MS = 500;

const BASIS = {
  schema: "the answer's schema",
  words: "the number of words that is asked for",
  nothing: "nothing: it may well be off",
} as const;

/** What these jobs would cost. The list must be the same one until it changes. */
export function EstimateView({ requests }: { requests: readonly JobRequest[] }) {
  const [settled, setSettled] = useState<{ requests: readonly JobRequest[]; nth: number }>();
  useEffect(() => {
    const timer = setTimeout(
      () => setSettled((before) => ({ requests, nth: (before?.nth ?? 0) + 1 })),
      SETTLED_MS,
    );
    return () => clearTimeout(timer);
  }, [requests]);
  const asked = settled?.requests ?? [];
  const read = useQuery({
    queryKey: ["estimate", settled?.nth],
    queryFn: ({ signal }) => estimate(asked, signal),
    enabled: asked.length > 0,
    gcTime: 0, // whole documents are not kept for it
    placeholderData: (before) => before,
  });
  if (requests.length === 0) return null;
  if (read.isError) return <ProblemNote error={read.error} onRetry={() => void read.refetch()} />;
  if (!read.data) return <SkeletonText lines={4} label="Estimating" />;
  const { total, first } = read.data;
  const old = settled?.requests !== requests || read.isPlaceholderData;
  const some = total.unpriced < asked.length;
  const direct = first?.lane === "direct";
  return (
    <div className={old ? "opacity-60" : undefined} aria-busy={old}>
      <p className="text-figure">
        {some ? (
          <>
            about <Cost amount={total.cost} decimals={decimalsFor([total.cost])} />
          </>
        ) : (
          "no price"
        )}
      </p>
      <p className="mb-3 text-ink2">
        {plural(asked.length, "job")}, {direct ? "direct, at the normal price" : "in batches"}
      </p>
      <Facts>
        <Fact name="In batches">{some && exactMoney(total.cost_batch)}</Fact>
        <Fact name="Direct">{some && exactMoney(total.cost_direct)}</Fact>
        <Fact name="Input">{count(total.input_tokens)} tokens</Fact>
        <Fact name="Output">about {count(total.output_tokens)} tokens</Fact>
        <Fact name="Model">{first?.model}</Fact>
        <Fact name="Length by">{first && BASIS[first.answer_basis]}</Fact>
        <Fact name="Corrected">
          {first && first.correction !== "1.000" && `× ${first.correction}, by what such jobs have cost`}
        </Fact>
      </Facts>
      {total.unpriced > 0 && (
        <p className="mt-3 text-warn">
          {plural(total.unpriced, "job has", "jobs have")} no known price and{" "}
          {total.unpriced === 1 ? "is" : "are"} in none of these amounts.
        </p>
      )}
    </div>
  );
}
