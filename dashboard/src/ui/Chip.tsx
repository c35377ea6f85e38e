import { X } from "lucide-react";
import type { ReactNode } from "react";

/** One thing that is set, and how to take it away. */
export function Chip({
  name,
  children,
  onRemove,
}: {
  name: string;
  children: ReactNode;
  onRemove: () => void;
}) {
  return (
    <span className="inline-flex h-6 max-w-full items-center rounded-sm bg-tide-wash pl-2 text-meta text-tide-ink">
      <span className="truncate">
        {name} {children}
      </span>
      <button
        type="button"
        className="flex size-6 shrink-0 items-center justify-center rounded-sm hover:text-ink"
        aria-label={`Remove the filter ${name}`}
        onClick={onRemove}
      >
        <X className="size-3" aria-hidden="true" />
      </button>
    </span>
  );
}
