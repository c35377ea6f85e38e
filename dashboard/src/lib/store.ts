/** A value for `useSyncExternalStore`. `begin` runs when somebody starts to listen, what it gives when nobody does any more. */
export function store<T extends object>(value: T, begin: () => () => void = () => () => {}) {
  const listeners = new Set<() => void>();
  let end = () => {};
  return {
    current: () => value,
    set(change: Partial<T>) {
      value = { ...value, ...change };
      for (const listener of [...listeners]) listener();
    },
    subscribe(listener: () => void) {
      listeners.add(listener);
      if (listeners.size === 1) end = begin();
      return () => {
        listeners.delete(listener);
        if (listeners.size === 0) end();
      };
    },
  };
}
