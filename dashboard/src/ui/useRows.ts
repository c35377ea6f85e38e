// Which rows of a long list are on the screen. All are of one height, so this is arithmetic.

import { type RefObject, useCallback, useEffect, useLayoutEffect, useState } from "react";

/** Rendered beyond either edge, so that a fast scroll does not show a gap. */
const BEYOND = 8;

/** `head`: the height of what stands over the rows and stays in sight. */
export function useRows(of: RefObject<HTMLElement | null>, count: number, height: number, head: number) {
  const [seen, setSeen] = useState({ first: 0, last: -1 });

  const look = useCallback(() => {
    const { scrollTop: top, clientHeight: room } = of.current ?? { scrollTop: 0, clientHeight: 0 };
    const first = Math.floor(top / height) - BEYOND;
    const last = Math.ceil((top + room) / height) - 1 + BEYOND;
    setSeen((before) => (before.first === first && before.last === last ? before : { first, last }));
  }, [of, height]);

  // Before the first paint, and when the list gets so short that it scrolls by itself.
  // biome-ignore lint/correctness/useExhaustiveDependencies: `count` is when to look again
  useLayoutEffect(look, [look, count]);
  useEffect(() => {
    const scroller = of.current;
    if (!scroller) return;
    const size = new ResizeObserver(look);
    size.observe(scroller);
    scroller.addEventListener("scroll", look, { passive: true });
    return () => {
      size.disconnect();
      scroller.removeEventListener("scroll", look);
    };
  }, [of, look]);

  /** Scrolls as little as is needed to have that row in sight. */
  const show = (index: number) => {
    const scroller = of.current;
    if (!scroller) return;
    const top = index * height;
    const lowest = top + height + head - scroller.clientHeight;
    if (top < scroller.scrollTop) scroller.scrollTo({ top });
    else if (lowest > scroller.scrollTop) scroller.scrollTo({ top: lowest });
  };
  return { first: Math.max(0, seen.first), last: Math.min(count - 1, seen.last), show };
}
