import { useMemo } from "react";
import { type Group, unfinished } from "../../api/groups";
import { useCounts } from "../../live/hooks";

/** A group with its counts as they stand now, where its topic is open. */
export function useLiveGroup(group: Group | undefined): Group | undefined {
  const counts = useCounts("groups")[group?.id ?? ""];
  return useMemo(() => {
    if (!group || !counts) return group;
    const jobs = Object.values(counts).reduce((sum, n) => sum + n, 0);
    return { ...group, counts, jobs, done: unfinished(counts) === 0 };
  }, [group, counts]);
}

/** For a table: what an id stands for, now. */
export const rowsOf = (groups: ReadonlyMap<string, Group>) =>
  function useGroupRow(id: string): Group | undefined {
    return useLiveGroup(groups.get(id));
  };
