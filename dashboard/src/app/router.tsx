import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  Navigate,
} from "@tanstack/react-router";
import { parseSearch, printSearch } from "../lib/filter";
import { root } from "../lib/root";
import { ProblemNote } from "../ui/ProblemNote";
import { Gate } from "./Gate";
import { watchLink } from "./link";
import { NotFound } from "./NotFound";
import { DOOR_PATH, FIRST_PATH, SCREENS } from "./screens";

const rootRoute = createRootRoute({ component: Gate, notFoundComponent: NotFound });

const screens = SCREENS.map(({ path, load }) =>
  createRoute({
    getParentRoute: () => rootRoute,
    path,
    validateSearch: (search: Record<string, unknown>) => search as Record<string, string>,
    // After an upgrade an old page asks for files that are gone: the router then reloads once.
    component: lazyRouteComponent(load, "Screen"),
    errorComponent: ({ error, reset }) => <ProblemNote error={error} onRetry={reset} />,
  }),
);

/** Who is signed in needs no door. */
const door = createRoute({
  getParentRoute: () => rootRoute,
  path: DOOR_PATH,
  component: () => <Navigate to={FIRST_PATH} replace />,
});

watchLink();

export const router = createRouter({
  routeTree: rootRoute.addChildren([...screens, door]),
  basepath: root,
  defaultPreload: "intent",
  parseSearch,
  stringifySearch: printSearch,
  scrollRestoration: false,
});
