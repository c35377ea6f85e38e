import { useQuery } from "@tanstack/react-query";
import { type Batch, batchQuery, incomplete } from "../api/batches";
import { useBatch, useBatchRev } from "../live/hooks";

/** A batch as it stands now. Its times and counts are read when a live row has outrun them. */
export function useBatchRow(id: string): Batch | undefined {
  const rev = useBatchRev(id);
  const batch = useBatch(id);
  useQuery({ ...batchQuery(id, rev), enabled: rev >= 0 && batch !== undefined && incomplete(batch) });
  return batch;
}
