import { queryOptions } from "@tanstack/react-query";
import { readSetting, storageWorks, writeSetting } from "../lib/settings";
import { api, body, type Schemas } from "./client";
import { asProblem } from "./problem";

export type Session = Schemas["Session"];

/** Who is signed in; null when nobody is. */
export const sessionQuery = queryOptions({
  queryKey: ["session"],
  queryFn: async ({ signal }): Promise<Session | null> => {
    // The cookie is out of sight. To ask where nobody signed in is an error in the browser's console.
    if (storageWorks() && readSetting("signedIn") === undefined) return null;
    try {
      return body(await api.GET("/v1/session", { signal }));
    } catch (error) {
      if (asProblem(error).status !== 401) throw error;
      writeSetting("signedIn", undefined);
      return null;
    }
  },
  staleTime: Number.POSITIVE_INFINITY,
});

/** The key goes to the server once and is kept nowhere: the session is a cookie that no script can read. */
export async function signIn(key: string): Promise<Session> {
  const session = body(await api.POST("/v1/session", { headers: { authorization: `Bearer ${key}` } }));
  writeSetting("signedIn", "yes");
  return session;
}

export async function signOut(everywhere: boolean): Promise<void> {
  await api.DELETE("/v1/session", { params: { query: everywhere ? { everywhere } : {} } });
  writeSetting("signedIn", undefined);
}
