// What the page knows of things by id, from two sources that race: answers over HTTP, which have no
// number, and live rows, which have one (`rev`). No network here.
//
// - A row is taken only if its `rev` is above the known one.
// - An answer that was asked for after the last row was taken holds that row too, and so replaces
//   everything. One that was asked for before may be older: it gives way in what rows say.
// - What the reader has just asked for is laid over it until the server has answered.

export type Row = { id: string; rev: number };

type Held<V, R> = {
  value: V | undefined; // as the server said it
  shown: V | undefined; // with what is expected of it
  row: R | undefined; // the last one taken
  rev: number;
  heard: number; // when that was, in turns
};

/** `merge` puts a row into a value. `keepUnknown`: rows of ids that no answer has named yet are kept for it. */
export function entities<V extends { id: string }, R extends Row>(
  merge: (value: V, row: R) => V,
  { keepUnknown = false } = {},
) {
  const held = new Map<string, Held<V, R>>();
  const listeners = new Map<string, Set<() => void>>();
  const expected = new Map<string, Partial<V>[]>();
  const everybody = new Set<() => void>();
  let turn = 0;

  function slot(id: string): Held<V, R> {
    let found = held.get(id);
    if (!found) {
      found = { value: undefined, shown: undefined, row: undefined, rev: -1, heard: 0 };
      held.set(id, found);
    }
    return found;
  }

  function show(id: string, entry: Held<V, R>) {
    const wishes = expected.get(id);
    entry.shown = entry.value && wishes ? Object.assign({}, entry.value, ...wishes) : entry.value;
    for (const listener of [...(listeners.get(id) ?? [])]) listener();
  }

  return {
    /** Before a request: what to give back with its answer. */
    asked: () => ++turn,

    /** An answer over HTTP. */
    put(values: readonly V[], asked: number) {
      for (const value of values) {
        const entry = slot(value.id);
        entry.value = entry.row && entry.heard > asked ? merge(value, entry.row) : value;
        show(value.id, entry);
      }
    },

    /** Live rows. Returns the ids of those that changed something. */
    apply(rows: readonly R[]): string[] {
      turn += 1;
      const changed: string[] = [];
      for (const row of rows) {
        if (!keepUnknown && !held.has(row.id)) continue;
        const entry = slot(row.id);
        if (row.rev <= entry.rev) continue;
        entry.rev = row.rev;
        entry.row = row;
        entry.heard = turn;
        if (entry.value) entry.value = merge(entry.value, row);
        changed.push(row.id);
        show(row.id, entry);
      }
      if (changed.length > 0) for (const listener of [...everybody]) listener();
      return changed;
    },

    /** Numbers may begin anew: whatever comes next is taken. */
    unsure() {
      for (const entry of held.values()) {
        entry.rev = -1;
        entry.row = undefined;
      }
    },

    /** What the reader has asked for, shown until `undo` is called. */
    expect(id: string, wish: Partial<V>): () => void {
      expected.set(id, [...(expected.get(id) ?? []), wish]);
      show(id, slot(id));
      return () => {
        const left = (expected.get(id) ?? []).filter((other) => other !== wish);
        if (left.length > 0) expected.set(id, left);
        else expected.delete(id);
        show(id, slot(id));
      };
    },

    get: (id: string): V | undefined => held.get(id)?.shown,
    rev: (id: string): number => held.get(id)?.rev ?? -1,

    subscribe(id: string, listener: () => void): () => void {
      const set = listeners.get(id) ?? new Set();
      listeners.set(id, set.add(listener));
      return () => {
        set.delete(listener);
        if (set.size === 0) listeners.delete(id);
      };
    },

    /** Calls when a row of any id has changed something, also of one that no answer has named. */
    subscribeAll(listener: () => void): () => void {
      everybody.add(listener);
      return () => everybody.delete(listener);
    },
    turn: () => turn,

    clear() {
      const ids = [...held.keys()];
      held.clear();
      expected.clear();
      for (const id of ids) for (const listener of [...(listeners.get(id) ?? [])]) listener();
    },
  };
}
