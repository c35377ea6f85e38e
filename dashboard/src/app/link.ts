// A link to sign in by says its secret after `#`, which no server is sent; the identity server sends a
// browser back with its own behind `?`. Out of the address and the history they go at once, before anything
// else sees them.

import { at } from "../lib/root";
import { store } from "../lib/store";
import { DOOR_PATH, RETURN_PATH } from "./screens";

/** What is to be signed in by: a link's secret, or what begins with `?`; `nth` tells one from the next. */
export const link = store<{ secret: string | undefined; nth: number }>({ secret: undefined, nth: 0 });

export const forgetLink = () => link.set({ secret: undefined });

/** Once, before the router reads the address; and when a link is opened where the page is already. */
export function watchLink() {
  take();
  addEventListener("hashchange", take);
}

function take() {
  const { hash, pathname, search } = location;
  const returned = pathname === at(RETURN_PATH) && search;
  const secret = hash.startsWith("#ofp_link_") ? hash.slice(1) : returned;
  if (!secret) return;
  history.replaceState(history.state, "", at(DOOR_PATH));
  link.set({ secret, nth: link.current().nth + 1 });
}
