/** In place of rows, on the first load only; after that the old rows stay. Late, so that a quick answer shows none. */
export function SkeletonRows({ rows = 12, label = "Loading" }: { rows?: number; label?: string }) {
  return (
    <div role="status" aria-label={label} className="late">
      {Array.from({ length: rows }, (_, row) => (
        <div
          // biome-ignore lint/suspicious/noArrayIndexKey: they are all alike
          key={row}
          className="flex h-8.5 items-center gap-4 border-line2 border-b px-6"
          aria-hidden="true"
        >
          <span className="size-4 rounded-sm bg-sunk" />
          <span className="h-3 w-40 rounded-sm bg-sunk" />
          <span className="h-3 flex-1 rounded-sm bg-sunk" />
          <span className="h-3 w-16 rounded-sm bg-sunk" />
        </div>
      ))}
    </div>
  );
}

export function SkeletonText({ lines = 3, label = "Loading" }: { lines?: number; label?: string }) {
  return (
    <div role="status" aria-label={label} className="late flex flex-col gap-2">
      {Array.from({ length: lines }, (_, line) => (
        <span
          // biome-ignore lint/suspicious/noArrayIndexKey: they are all alike
          key={line}
          className="h-3 rounded-sm bg-sunk last:w-1/2"
          aria-hidden="true"
        />
      ))}
    </div>
  );
}
