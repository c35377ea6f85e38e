import clsx from "clsx";

/** So much of so much: the two numbers in words, and a thin bar of the same. */
export function Meter({
  value,
  max,
  words,
  full,
}: {
  value: number;
  max: number;
  words: string;
  full: string;
}) {
  const part = max > 0 ? Math.min(1, value / max) : 0;
  return (
    <div className="min-w-0">
      <p className="flex flex-wrap justify-between gap-x-3">
        {words}
        {value >= max && <span className="text-warn">{full}</span>}
      </p>
      <svg className="mt-1 h-1.5 w-full rounded-sm bg-sunk" aria-hidden="true">
        <rect
          width={`${part * 100}%`}
          height="100%"
          className={clsx(value >= max ? "fill-warn" : "fill-tide")}
        />
      </svg>
    </div>
  );
}
