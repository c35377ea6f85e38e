// What callers may do, in words: scopes, of which a key has some and a role stands for some.

import type { Role } from "../api/people";
import type { Scope } from "../api/session";

export const SCOPES: readonly (readonly [Scope, string])[] = [
  ["jobs:read", "See jobs, groups, batches, counts and costs."],
  ["results:read", "See requests and results: what was asked and answered."],
  ["jobs:write", "Submit, cancel and retry jobs."],
  ["settings:manage", "Change job types, budgets and origins."],
  ["keys:manage", "Make and revoke keys, invite and remove people."],
];

/** What an app needs that submits jobs and reads their results. */
export const OF_APP: readonly Scope[] = ["jobs:read", "results:read", "jobs:write"];

export const ROLES: Record<Role, { word: string; may: string; scopes: readonly Scope[] }> = {
  viewer: { word: "Viewer", may: "Sees jobs and results.", scopes: ["jobs:read", "results:read"] },
  member: { word: "Member", may: "Submits, cancels and retries jobs too.", scopes: OF_APP },
  admin: {
    word: "Admin",
    may: "May do everything: job types, budgets, keys and people too.",
    scopes: SCOPES.map(([scope]) => scope),
  },
};

/** From the least to the most. */
export const ROLE_ORDER: readonly Role[] = ["viewer", "member", "admin"];
