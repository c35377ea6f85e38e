import { queryOptions } from "@tanstack/react-query";
import { at } from "../lib/root";
import { api, body, type Schemas } from "./client";

export type Person = Schemas["Person"];
export type Role = Schemas["Role"];
export type Invitation = Schemas["Invitation"];
export type Invited = Schemas["Invited"];

export const peopleQuery = queryOptions({
  queryKey: ["people"],
  queryFn: async ({ signal }): Promise<Person[]> => body(await api.GET("/v1/people", { signal })).data,
});

/** Its link is in this answer and nowhere else. */
export async function invite(invitation: Invitation): Promise<Invited> {
  return body(await api.POST("/v1/people", { body: invitation }));
}

export async function removePerson(id: string): Promise<void> {
  await api.DELETE("/v1/people/{id}", { params: { path: { id } } });
}

/** The whole of a link: a server that does not know how it is reached says the path alone. */
export const wholeLink = (link: string): string => (link.startsWith("/") ? location.origin + at(link) : link);
