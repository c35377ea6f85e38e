import { queryOptions } from "@tanstack/react-query";
import { api, body, type Schemas } from "./client";
import { asProblem } from "./problem";

export type Session = Schemas["Session"];

/** Who is signed in; null when nobody is. */
export const sessionQuery = queryOptions({
  queryKey: ["session"],
  queryFn: async ({ signal }): Promise<Session | null> => {
    try {
      return body(await api.GET("/v1/session", { signal }));
    } catch (error) {
      if (asProblem(error).status === 401) return null;
      throw error;
    }
  },
  staleTime: Number.POSITIVE_INFINITY,
});

/** The key goes to the server once and is kept nowhere: the session is a cookie that no script can read. */
export const signIn = async (key: string): Promise<Session> =>
  body(await api.POST("/v1/session", { headers: { authorization: `Bearer ${key}` } }));

export async function signOut(everywhere: boolean): Promise<void> {
  await api.DELETE("/v1/session", { params: { query: everywhere ? { everywhere } : {} } });
}
