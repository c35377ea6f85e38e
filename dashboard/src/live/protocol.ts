// The frames of `/v1/live`, as docs/live.md and the OpenAPI document have them.

import type { components } from "../api/schema";

type Schemas = components["schemas"];

export type Frame = Schemas["Frame"];
export type Say = Schemas["Say"];
export type JobRow = Schemas["JobRow"];
export type BatchRow = Schemas["BatchRow"];
export type OperationRow = Schemas["OperationRow"];
export type Counts = Schemas["Counts"];
export type LiveUsage = Schemas["LiveUsage"];

export const PROTOCOL = "offpeak.live.v1";

/** Jobs that may be watched at once. */
export const MAX_WATCHED = 200;

export const CLOSE = {
  badMessage: 4400,
  unauthenticated: 4401,
  ticketScope: 4403,
  tooSlow: 4408,
  tooMany: 4429,
  restarting: 1012,
} as const;

/** A frame, or nothing if it is none. What a newer server adds has another `t` and is ignored later on. */
export function readFrame(data: unknown): Frame | undefined {
  if (typeof data !== "string") return undefined;
  try {
    const frame: unknown = JSON.parse(data);
    return typeof frame === "object" && frame !== null && "t" in frame ? (frame as Frame) : undefined;
  } catch {
    return undefined;
  }
}
