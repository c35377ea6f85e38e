import { type QueryClient, useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useState } from "react";
import { type Fresh, NONE_FRESH } from "../api/newest";
import { onBatches, onCounts, useChanges } from "../live/onCounts";

/** Keeps a list at its newest while nobody reads in it. While somebody does, it counts what came, until
 *  `adopt` is called. Without an error of its own: the next change asks again, and the connection says
 *  how it stands. `look` must stay the same. */
export function useFresh(
  look: (queries: QueryClient, held?: boolean) => Promise<Fresh>,
  loaded: boolean,
  reading: boolean,
): { fresh: Fresh; adopt: () => void } {
  const queries = useQueryClient();
  const [fresh, setFresh] = useState(NONE_FRESH);
  const adopt = useCallback(() => void look(queries).then(setFresh, () => {}), [look, queries]);
  useChanges(adopt, loaded && !reading);
  useEffect(() => {
    if (!loaded || !reading) return;
    let over = false;
    const count = () =>
      void look(queries, true).then(
        (found) => over || setFresh(found),
        () => {},
      );
    const ends = [onCounts(count), onBatches(count)];
    return () => {
      over = true;
      for (const end of ends) end();
    };
  }, [look, queries, loaded, reading]);
  return { fresh, adopt };
}
