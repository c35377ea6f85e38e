import { writeSetting } from "../lib/settings";
import { api, body } from "./client";

/** Signs in by a link, once. Whether it is an operator that it signs in. */
export async function signInByLink(link: string): Promise<boolean> {
  const { operator } = body(await api.POST("/v1/session/link", { body: { link } }));
  writeSetting(operator ? "operator" : "signedIn", "yes");
  return operator;
}
