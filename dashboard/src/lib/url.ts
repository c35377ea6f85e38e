// The address is the only place where the state of a screen lives: one reader, one writer.

import { useNavigate, useRouter, useSearch } from "@tanstack/react-router";
import { useCallback } from "react";
import { printSearch } from "./filter";

export type Search = Record<string, string>;

/** The parameters, and a function that changes some of them (`undefined` takes one out) and keeps the others. */
export function useUrl(): [
  Search,
  (change: Record<string, string | undefined>, how?: { replace: boolean }) => void,
] {
  const search: Search = useSearch({ strict: false });
  const navigate = useNavigate();
  const change = useCallback(
    (changed: Record<string, string | undefined>, how = { replace: false }) => {
      void navigate({
        to: ".",
        search: (before: Search) => clean({ ...before, ...changed }),
        replace: how.replace,
      });
    },
    [navigate],
  );
  return [search, change];
}

const NOTHING_MORE: readonly string[] = [];

/** What is open in the panel beside a list, and a function that opens another or none; `within` says what
 * in the address ends with it. Give always the same one. */
export function useOpen(
  within: readonly string[] = NOTHING_MORE,
): [string | undefined, (id: string | undefined) => void] {
  const [{ id: open }, setUrl] = useUrl();
  const setOpen = useCallback(
    // From one to the next replaces: going back leaves the panel, it does not replay a walk.
    // What is open in the panel stays so from one to the next, and ends with it.
    (id: string | undefined) =>
      setUrl(id ? { id } : { id, ...Object.fromEntries(within.map((name) => [name, undefined])) }, {
        replace: id !== undefined && open !== undefined,
      }),
    [setUrl, open, within],
  );
  return [open, setOpen];
}

/** An address for `href`, under the server's path prefix. */
export function useHref(): (path: string, search?: Record<string, string | undefined>) => string {
  const router = useRouter();
  return useCallback(
    (path, search = {}) =>
      router.history.createHref(
        (router.basepath === "/" ? "" : router.basepath) + path + printSearch(search),
      ),
    [router],
  );
}

export const clean = (search: Record<string, string | undefined>): Search =>
  Object.fromEntries(Object.entries(search).filter((entry): entry is [string, string] => Boolean(entry[1])));
