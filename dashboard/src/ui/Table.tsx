import clsx from "clsx";
import type { ReactNode } from "react";

export type Cell<T> = {
  id: string;
  title: string;
  cell: (row: T) => ReactNode;
  /** At the right, for what is compared by its digits. */
  number?: boolean;
  /** Left out where there is no room: on a phone. */
  wide?: boolean;
};

/** A short table, all of it in the page; it scrolls sideways by itself. Long lists are a `VirtualTable`. */
export function Table<T>({
  label,
  columns,
  rows,
  keyOf,
  foot,
}: {
  label: string;
  columns: readonly Cell<T>[];
  rows: readonly T[];
  keyOf: (row: T) => string;
  /** The sum of all, set apart. */
  foot?: T;
}) {
  const side = (column: Cell<T>) =>
    clsx(
      "whitespace-nowrap px-2 first:pl-0 last:pr-0",
      column.number ? "text-right" : "text-left",
      column.wide && "hidden md:table-cell",
    );
  return (
    <section
      aria-label={label}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and not everybody has a wheel
      tabIndex={0}
      className="overflow-x-auto"
    >
      <table className="w-full border-collapse">
        <thead>
          <tr className="border-line border-b text-ink3 text-meta">
            {columns.map((column) => (
              <th key={column.id} scope="col" className={clsx("h-7 font-normal", side(column))}>
                {column.title || <span className="sr-only">What can be done</span>}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={keyOf(row)} className="border-line2 border-b">
              {columns.map((column) => (
                <td key={column.id} className={clsx("h-8", side(column))}>
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
        {foot && (
          <tfoot>
            <tr className="font-semibold">
              {columns.map((column) => (
                <td key={column.id} className={clsx("h-8", side(column))}>
                  {column.cell(foot)}
                </td>
              ))}
            </tr>
          </tfoot>
        )}
      </table>
    </section>
  );
}
