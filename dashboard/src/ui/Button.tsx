import clsx from "clsx";
import type { ComponentProps } from "react";

const KINDS = {
  plain: "border-line bg-raised text-ink hover:border-ink3",
  main: "border-transparent bg-tide-ink text-bg hover:bg-tide",
  danger: "border-transparent bg-bad text-bg hover:opacity-90",
  ghost: "border-transparent text-ink2 hover:bg-sunk hover:text-ink",
} as const;

export type ButtonKind = keyof typeof KINDS;

/** 28 px high. `square`: an icon alone, which then needs an `aria-label`. */
export function Button({
  kind = "plain",
  square = false,
  className,
  type = "button",
  ...rest
}: ComponentProps<"button"> & { kind?: ButtonKind; square?: boolean }) {
  return (
    <button
      type={type}
      className={clsx(
        "inline-flex h-7 shrink-0 items-center justify-center gap-1.5 whitespace-nowrap rounded-md border text-body transition-colors",
        "disabled:cursor-default disabled:opacity-50",
        square ? "w-7" : "px-2.5",
        KINDS[kind],
        className,
      )}
      {...rest}
    />
  );
}
