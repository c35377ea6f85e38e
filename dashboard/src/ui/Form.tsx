import clsx from "clsx";
import { type ComponentProps, type ReactNode, useId } from "react";

const BOX = "w-full rounded-md border border-line bg-bg px-2 disabled:opacity-50 aria-invalid:border-bad";

/** A name above a field, and below it what helps or what is wrong. */
export function Field({
  name,
  hint,
  problem,
  children,
}: {
  name: ReactNode;
  hint?: ReactNode;
  problem?: string;
  children: (props: { id: string; "aria-describedby": string; "aria-invalid": boolean }) => ReactNode;
}) {
  const id = useId();
  const note = `${id}-note`;
  return (
    <div className="flex min-w-0 flex-col gap-1">
      <label htmlFor={id} className="text-ink2">
        {name}
      </label>
      {children({ id, "aria-describedby": note, "aria-invalid": problem !== undefined })}
      <p id={note} className={clsx("text-meta empty:hidden", problem ? "text-bad" : "text-ink3")}>
        {problem ?? hint}
      </p>
    </div>
  );
}

export const Input = ({ className, ...rest }: ComponentProps<"input">) => (
  <input autoComplete="off" className={clsx(BOX, "h-7", className)} {...rest} />
);

export const Area = ({ className, ...rest }: ComponentProps<"textarea">) => (
  <textarea spellCheck={false} className={clsx(BOX, "py-1.5", className)} {...rest} />
);

export function Select({
  className,
  options,
  ...rest
}: ComponentProps<"select"> & { options: readonly (readonly [value: string, word: string])[] }) {
  return (
    <select className={clsx(BOX, "h-7 bg-raised", className)} {...rest}>
      {options.map(([value, word]) => (
        <option key={value} value={value}>
          {word}
        </option>
      ))}
    </select>
  );
}

export const Check = (props: ComponentProps<"input">) => <Mark type="checkbox" {...props} />;
export const Radio = (props: ComponentProps<"input">) => <Mark type="radio" {...props} />;

function Mark({ children, ...rest }: ComponentProps<"input">) {
  return (
    <label className="flex items-start gap-2">
      <input className="mt-0.5 size-3.5 shrink-0 accent-tide" {...rest} />
      <span className="min-w-0">{children}</span>
    </label>
  );
}
