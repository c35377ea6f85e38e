import type { ReactNode } from "react";

/** Around each chart: what it shows, in words, and the same numbers as a table for who cannot see it. */
export function Frame({
  label,
  head,
  rows,
  children,
}: {
  /** One sentence with the figures that matter. */
  label: string;
  head: readonly string[];
  rows: readonly (readonly string[])[];
  children: ReactNode;
}) {
  return (
    <figure>
      {children}
      <figcaption className="sr-only">
        {label}
        <table>
          <thead>
            <tr>
              {head.map((name) =>
                name ? (
                  <th key={name} scope="col">
                    {name}
                  </th>
                ) : (
                  <td key={name} />
                ),
              )}
            </tr>
          </thead>
          <tbody>
            {rows.map((cells) => (
              <tr key={cells[0]}>
                {cells.map((cell, column) => (
                  <td key={head[column]}>{cell}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </figcaption>
    </figure>
  );
}
