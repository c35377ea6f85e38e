// Every screen, one line each: where it is, what it is called, and how it is loaded.
// A screen exports `Screen` and is read from the server only when it is opened.

import {
  Boxes,
  CircleDollarSign,
  FileCode2,
  Gauge,
  KeyRound,
  Layers,
  List,
  type LucideIcon,
  SendHorizontal,
  Server,
} from "lucide-react";
import type { ComponentType } from "react";
import type { Scope, Session } from "../api/session";

export type ScreenEntry = {
  path: string;
  title: string;
  load: () => Promise<{ Screen: ComponentType }>;
  /** In the rail, in this order; without an icon it is reached by links only. */
  icon?: LucideIcon;
  /** `g`, then this letter. */
  key?: string;
  /** Ids with this prefix are shown there, as `?id=`. */
  ids?: string;
  /** Offered only to who may do this. */
  needs?: Scope;
  /** The operator's, who need not be signed in to any tenant; the others are a tenant's. */
  operator?: true;
};

/** Where `/` leads. The build counts what it loads against the budget of the first route. */
export const FIRST_ROUTE = "../routes/overview/Overview";
export const FIRST_PATH = "/";
/** Where an operator begins. */
export const OPERATOR_PATH = "/operator";
/** The door, also for who is signed in as an operator alone. Links to sign in by lead there. */
export const DOOR_PATH = "/sign-in";
/** To there an identity server sends browsers back. */
export const RETURN_PATH = "/sign-in/oidc";

export const SCREENS: readonly ScreenEntry[] = [
  {
    path: "/",
    title: "Overview",
    icon: Gauge,
    key: "o",
    load: () => import("../routes/overview/Overview"),
  },
  {
    path: "/jobs",
    title: "Jobs",
    icon: List,
    key: "j",
    ids: "job_",
    load: () => import("../routes/jobs/Jobs"),
  },
  {
    path: "/groups",
    title: "Groups",
    icon: Layers,
    key: "u",
    ids: "grp_",
    load: () => import("../routes/groups/Groups"),
  },
  {
    path: "/batches",
    title: "Batches",
    icon: Boxes,
    key: "b",
    ids: "bat_",
    load: () => import("../routes/batches/Batches"),
  },
  {
    path: "/submit",
    title: "Submit",
    icon: SendHorizontal,
    key: "n",
    needs: "jobs:write",
    load: () => import("../routes/submit/Submit"),
  },
  {
    path: "/types",
    title: "Job types",
    icon: FileCode2,
    key: "t",
    load: () => import("../routes/types/Types"),
  },
  {
    path: "/spend",
    title: "Spend",
    icon: CircleDollarSign,
    key: "s",
    load: () => import("../routes/spend/Spend"),
  },
  {
    path: "/settings",
    title: "Keys and settings",
    icon: KeyRound,
    key: ",",
    load: () => import("../routes/settings/Settings"),
  },
  {
    path: OPERATOR_PATH,
    title: "Operator",
    icon: Server,
    key: "a",
    ids: "ten_",
    operator: true,
    load: () => import("../routes/operator/Operator"),
  },
];

/** Those that are offered to who is signed in. */
export const screensFor = (session: Session | null | undefined, operator: boolean): ScreenEntry[] =>
  SCREENS.filter((screen) =>
    screen.operator ? operator : session && (!screen.needs || session.scopes.includes(screen.needs)),
  );

/** Which of these shows an id; undefined if nothing is known of such. */
export function screenOfId(text: string, screens: readonly ScreenEntry[]): ScreenEntry | undefined {
  const prefix = /^([a-z]+_)[0-9a-z]{10,}$/.exec(text.trim())?.[1];
  return prefix ? screens.find(({ ids }) => ids === prefix) : undefined;
}
