import { queryOptions, useQuery } from "@tanstack/react-query";
import { readSetting, type Setting, storageWorks, writeSetting } from "../lib/settings";
import { api, body, type Schemas } from "./client";
import { asProblem } from "./problem";

export type Session = Schemas["Session"];
export type OperatorSession = Schemas["OperatorSession"];
export type Scope = Schemas["Scope"];

/** Whom a cookie signs in; null when nobody is. The cookie is out of sight, and to ask where nobody signed
 *  in is an error in the browser's console. */
async function who<T>(signed: Setting, ask: () => Promise<{ data?: T }>): Promise<T | null> {
  if (storageWorks() && readSetting(signed) === undefined) return null;
  try {
    return body(await ask());
  } catch (error) {
    if (asProblem(error).status !== 401) throw error;
    writeSetting(signed, undefined);
    return null;
  }
}

/** Who is signed in to a tenant. */
export const sessionQuery = queryOptions({
  queryKey: ["session"],
  queryFn: ({ signal }): Promise<Session | null> => who("signedIn", () => api.GET("/v1/session", { signal })),
  staleTime: Number.POSITIVE_INFINITY,
});

/** Who is signed in as an operator, beside that or alone. */
export const operatorQuery = queryOptions({
  queryKey: ["session", "operator"],
  queryFn: ({ signal }): Promise<OperatorSession | null> =>
    who("operator", () => api.GET("/v1/operator/session", { signal })),
  staleTime: Number.POSITIVE_INFINITY,
});

/** Whether the one who is signed in may do that. What they may not is not offered. */
export const useMay = (scope: Scope): boolean => useQuery(sessionQuery).data?.scopes.includes(scope) ?? false;

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
