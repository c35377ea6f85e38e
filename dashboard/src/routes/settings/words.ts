import type { Key } from "../../api/keys";

export const nameOf = ({ name, hint }: Key) => name || hint;

/** Whether it opens anything now. */
export const inForce = ({ revoked_at, expires_at }: Key, now: number): boolean =>
  revoked_at === null && (expires_at === null || Date.parse(expires_at) > now);
