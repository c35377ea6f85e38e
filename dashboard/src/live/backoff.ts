/** Full jitter, so that a thousand pages do not return at once: up to 0.5 s, doubling to 30 s. */
export const backoff = (attempt: number, random = Math.random): number =>
  random() * Math.min(30_000, 500 * 2 ** attempt);
