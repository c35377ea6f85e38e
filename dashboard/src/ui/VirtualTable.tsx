// A long list as a real table: only the rows on the screen exist, and each is rendered anew only when
// its own thing changes. The reader's place never moves by itself.

import clsx from "clsx";
import { memo, type ReactNode, useEffect, useMemo, useRef, useState } from "react";
import { useKeys } from "../lib/keys";
import { useRows } from "./useRows";

export type Column<T> = {
  id: string;
  title: string;
  /** A grid track: `9rem`, `minmax(8rem,1fr)`. */
  track: string;
  /** Left out where the table is narrower, in px. */
  from?: number;
  /** Numbers stand at the right. */
  end?: boolean;
  cell: (value: T) => ReactNode;
};

const ROW = 34;
const HEAD = 32;

type Props<T> = {
  label: string;
  ids: readonly string[];
  columns: readonly Column<T>[];
  /** A hook: what an id stands for, now. */
  useRow: (id: string) => T | undefined;
  /** Says whether a row belongs to the filter still; one that does not stays, dimmed. */
  belongs?: (value: T) => boolean;
  href: (id: string) => string;
  open: string | undefined;
  onOpen: (id: string | undefined) => void;
  selected?: ReadonlySet<string>;
  onSelect?: (ids: readonly string[], on: boolean) => void;
  hasMore?: boolean;
  onMore?: () => void;
  /** The rows on the screen; the same array until they change. */
  onVisible?: (ids: readonly string[]) => void;
  /** Whether the reader is somewhere in the list, so that it must not move. */
  onReading?: (reading: boolean) => void;
  /** After the last row. */
  foot?: ReactNode;
};

export function VirtualTable<T>(props: Props<T>) {
  const { ids, open, onOpen, selected, onSelect, onVisible, onReading, hasMore, onMore } = props;
  const scroller = useRef<HTMLDivElement>(null);
  const width = useWidth(scroller);
  const [at, setAt] = useState<string>();
  const [hovered, setHovered] = useState(false);
  const [scrolled, setScrolled] = useState(false);
  const columns = useMemo(
    () => props.columns.filter(({ from = 0 }) => width >= from),
    [props.columns, width],
  );
  // A phone's row has no room for a box, nor is much chosen there.
  const boxes = onSelect !== undefined && width >= 520;
  const template = (boxes ? "2rem " : "") + columns.map(({ track }) => track).join(" ");

  const { first, last, show } = useRows(scroller, ids.length, ROW, HEAD);

  const visible = useMemo(() => ids.slice(first, last + 1), [ids, first, last]);
  useEffect(() => onVisible?.(visible), [visible, onVisible]);
  useEffect(() => {
    if (hasMore && last >= ids.length - 20) onMore?.();
  }, [hasMore, last, ids.length, onMore]);
  const reading = scrolled || hovered || open !== undefined || (selected?.size ?? 0) > 0 || at !== undefined;
  useEffect(() => onReading?.(reading), [reading, onReading]);

  function go(step: number, extend = false) {
    const from = ids.indexOf(open ?? at ?? "");
    const to =
      ids[from < 0 ? (step > 0 ? 0 : ids.length - 1) : Math.min(Math.max(from + step, 0), ids.length - 1)];
    if (to === undefined) return;
    if (extend) onSelect?.([ids[from] ?? to, to], true);
    setAt(to);
    if (open !== undefined) onOpen(to);
    show(ids.indexOf(to));
  }

  const here = open ?? at;
  useKeys({
    j: () => go(1),
    k: () => go(-1),
    ArrowDown: () => go(1),
    ArrowUp: () => go(-1),
    "Shift+j": () => go(1, true),
    "Shift+k": () => go(-1, true),
    ...(here && { Enter: () => onOpen(here) }),
    ...(here && onSelect && { x: () => onSelect([here], !selected?.has(here)) }),
    ...(onSelect && { a: () => onSelect(ids, true) }),
    // Back out one level: the panel, then the selection, then the place.
    ...(open !== undefined
      ? { Escape: () => onOpen(undefined) }
      : selected?.size
        ? { Escape: () => onSelect?.([...selected], false) }
        : at !== undefined && { Escape: () => setAt(undefined) }),
  });

  return (
    <div
      ref={scroller}
      className="min-h-0 flex-1 overflow-auto"
      onScroll={(event) => setScrolled(event.currentTarget.scrollTop > ROW)}
      onPointerMove={() => setHovered(true)}
      onPointerLeave={() => setHovered(false)}
    >
      <table aria-label={props.label} aria-rowcount={hasMore ? -1 : ids.length + 1} className="grid w-full">
        <thead className="sticky top-0 z-10 grid bg-bg">
          <tr
            aria-rowindex={1}
            className="grid h-8 items-center gap-x-4 border-line border-b px-4 md:px-6"
            style={{ gridTemplateColumns: template }}
          >
            {boxes && (
              <th scope="col" className="flex items-center">
                <input
                  type="checkbox"
                  aria-label="Select every loaded row"
                  className="size-3.5 accent-tide"
                  checked={ids.length > 0 && selected?.size === ids.length}
                  onChange={(event) => onSelect(ids, event.target.checked)}
                />
              </th>
            )}
            {columns.map((column) => (
              <th
                key={column.id}
                scope="col"
                className={clsx(
                  "truncate font-normal text-ink3 text-meta",
                  column.end ? "text-right" : "text-left",
                )}
              >
                {column.title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody className="relative grid" style={{ height: ids.length * ROW }}>
          {visible.map((id, nth) => (
            <Row
              key={id}
              id={id}
              index={first + nth}
              start={(first + nth) * ROW}
              template={template}
              columns={columns as readonly Column<unknown>[]}
              useRow={props.useRow}
              belongs={props.belongs as ((value: unknown) => boolean) | undefined}
              href={props.href}
              current={here === id}
              open={open === id}
              onOpen={onOpen}
              selected={selected?.has(id) ?? false}
              onSelect={boxes ? onSelect : undefined}
            />
          ))}
        </tbody>
      </table>
      {props.foot}
    </div>
  );
}

type RowProps = {
  id: string;
  index: number;
  start: number;
  template: string;
  columns: readonly Column<unknown>[];
  useRow: (id: string) => unknown;
  belongs: ((value: unknown) => boolean) | undefined;
  href: (id: string) => string;
  current: boolean;
  open: boolean;
  onOpen: (id: string) => void;
  selected: boolean;
  onSelect: ((ids: readonly string[], on: boolean) => void) | undefined;
};

const Row = memo(function Row({ id, columns, useRow, onSelect, ...props }: RowProps) {
  const value = useRow(id);
  if (value === undefined) return null;
  const gone = props.belongs ? !props.belongs(value) : false;
  return (
    <tr
      aria-rowindex={props.index + 2}
      data-id={id}
      title={gone ? "It has left this filter since" : undefined}
      className={clsx(
        "absolute inset-x-0 top-0 grid h-8.5 contain-strict items-center gap-x-4 border-line2 border-b px-4 md:px-6",
        props.open || props.selected ? "bg-tide-wash" : "hover:bg-sunk",
        props.current && "shadow-[inset_2px_0_0_var(--tide)]",
        gone && "opacity-50",
      )}
      style={{ gridTemplateColumns: props.template, transform: `translateY(${props.start}px)` }}
    >
      {onSelect && (
        <td className="relative z-1 flex items-center">
          <input
            type="checkbox"
            aria-label={`Select ${id}`}
            className="size-3.5 accent-tide"
            checked={props.selected}
            onChange={(event) => onSelect([id], event.target.checked)}
          />
        </td>
      )}
      {columns.map((column, nth) => (
        <td key={column.id} className={clsx("min-w-0 truncate", column.end && "text-right")}>
          {nth === 0 ? (
            // Over the whole row: a plain click opens beside the list, any other as a link does.
            <a
              href={props.href(id)}
              aria-current={props.open ? "true" : undefined}
              className="block truncate after:absolute after:inset-0"
              onClick={(event) => {
                if (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
                event.preventDefault();
                props.onOpen(id);
              }}
            >
              {column.cell(value)}
            </a>
          ) : (
            column.cell(value)
          )}
        </td>
      ))}
    </tr>
  );
});

function useWidth(of: React.RefObject<HTMLElement | null>): number {
  const [width, setWidth] = useState(() => innerWidth);
  useEffect(() => {
    if (!of.current) return;
    const seen = new ResizeObserver(([entry]) => entry && setWidth(entry.contentRect.width));
    seen.observe(of.current);
    return () => seen.disconnect();
  }, [of]);
  return width;
}
