import { useQuery, useQueryClient } from "@tanstack/react-query";
import { lazy, Suspense, useCallback, useState } from "react";
import { type Overview, overviewQuery, WINDOWS, type Window } from "../../api/overview";
import { useUrl } from "../../lib/url";
import { useCounts } from "../../live/hooks";
import { useChanges } from "../../live/onCounts";
import { PageHead } from "../../ui/Page";
import { ProblemNote } from "../../ui/ProblemNote";
import { SkeletonRows } from "../../ui/Skeleton";
import { Attention } from "./Attention";
import { Flow } from "./Flow";
import { Lanes } from "./Lanes";
import { Pace } from "./Pace";
import { SpendToday } from "./SpendToday";
import { TimeToResult } from "./TimeToResult";
import { WindowPick } from "./WindowPick";

const firstRun = () => import("./FirstRun");
const FirstRun = lazy(() => firstRun().then(({ FirstRun }) => ({ default: FirstRun })));
const FirstJob = lazy(() => firstRun().then(({ FirstJob }) => ({ default: FirstJob })));

const LOOK_EVERY_MS = 5000;

export function Screen() {
  const [url, setUrl] = useUrl();
  const window = WINDOWS.find((known) => known === url.window) ?? "1h";
  const pick = (next: Window) => setUrl({ window: next === "1h" ? undefined : next });
  return (
    <>
      <PageHead title="Overview">
        <WindowPick window={window} onPick={pick} />
      </PageHead>
      <Body window={window} />
    </>
  );
}

function Body({ window }: { window: Window }) {
  const read = useQuery(overviewQuery(window));
  const queries = useQueryClient();
  const look = useCallback(() => void queries.invalidateQueries({ queryKey: ["overview"] }), [queries]);
  useChanges(look, read.isSuccess, LOOK_EVERY_MS);
  const counts = useCounts("jobs") ?? read.data?.jobs;
  const [began, setBegan] = useState(false); // there was nothing when this screen was opened

  if (read.isPending) return <SkeletonRows label="Loading the overview" rows={8} />;
  if (!read.data || !counts) return <ProblemNote error={read.error} onRetry={() => void read.refetch()} />;
  const first = isFirstRun({ ...read.data, jobs: counts });
  if (first && !began) setBegan(true);
  return (
    <div className="min-h-0 flex-1 overflow-y-auto">
      <Attention overview={read.data} />
      {first ? (
        <Suspense>
          <FirstRun />
        </Suspense>
      ) : (
        <>
          <Suspense>{began && <FirstJob />}</Suspense>
          <Flow overview={read.data} counts={counts} window={window} />
          <div className="grid gap-x-10 gap-y-8 px-4 py-6 md:px-6 xl:grid-cols-[minmax(0,5fr)_minmax(0,3fr)]">
            <div className="flex min-w-0 flex-col gap-8">
              <Lanes overview={read.data} />
              <Pace pace={read.data.pace} window={window} />
            </div>
            <div className="flex min-w-0 flex-col gap-8">
              <SpendToday total={read.data.spend_today} />
              <TimeToResult types={read.data.time_to_result} />
            </div>
          </div>
        </>
      )}
    </div>
  );
}

/** Nothing there, and no trace of anything that was. */
const isFirstRun = ({ jobs, pace, spend_today, time_to_result }: Overview): boolean =>
  Object.values(jobs).every((n) => n === 0) &&
  pace.accepted.every((n) => n === 0) &&
  spend_today.attempts === 0 &&
  time_to_result.length === 0;
