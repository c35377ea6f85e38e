// Reading from offpeak with a ticket.
import { listed, type Row } from "./jobs";

/** What the page's own backend hands out: where offpeak is, and what opens it for minutes. */
export type Ticket = { url: string; ticket: string };
export type GetTicket = () => Promise<Ticket>;

export type Client = ReturnType<typeof client>;

/** After which an answer is not waited for any more. */
export const PATIENCE = 15_000;

/** Keeps a ticket until it is over, and reads with it. */
export function client(getTicket: GetTicket) {
  let held: Promise<Ticket> | undefined;
  const drop = () => {
    held = undefined;
  };
  const ticket = () => {
    held ??= getTicket();
    held.catch(drop); // the next one who asks tries again
    return held;
  };

  async function get(path: string, ended?: AbortSignal) {
    const late = AbortSignal.timeout(PATIENCE);
    const signal = ended ? AbortSignal.any([ended, late]) : late;
    const fresh = !held;
    const { url, ticket: secret } = await ticket();
    const answer = await fetch(url + path, { headers: { authorization: `Bearer ${secret}` }, signal });
    if (answer.status === 401) {
      drop();
      if (!fresh) return get(path, ended); // it was over: once more, with another
    }
    const body = await answer.json();
    if (!answer.ok) throw new Error(body.detail);
    return body;
  }

  return {
    get,
    ticket,
    drop,
    /** The newest jobs, a hundred or all. A page may be short and not the last. */
    async list(ended?: AbortSignal): Promise<Row[]> {
      const rows: Row[] = [];
      let cursor = "";
      do {
        const page = await get(`/v1/jobs?limit=100${cursor && `&cursor=${encodeURIComponent(cursor)}`}`, ended);
        rows.push(...page.data.map(listed));
        cursor = page.next_cursor ?? "";
      } while (cursor && rows.length < 100);
      return rows;
    },
  };
}
