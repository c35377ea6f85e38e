import { X } from "lucide-react";
import { createContext, type ReactNode, useContext } from "react";
import { Button } from "./Button";

/** Which heading a section has: under a screen's, or under the one of the panel that it stands in. */
const Heading = createContext<"h2" | "h3">("h2");

/** Beside a list, for the one thing that is open; over it where there is no room. Its id is in the address. */
export function Panel({
  title,
  label,
  actions,
  children,
  onClose,
}: {
  title: ReactNode;
  label: string;
  actions?: ReactNode;
  children: ReactNode;
  onClose: () => void;
}) {
  return (
    <aside
      aria-label={label}
      className="fixed inset-0 z-20 flex flex-col bg-bg lg:static lg:z-auto lg:w-[34rem] lg:shrink-0 lg:border-line lg:border-l 2xl:w-[44rem]"
    >
      <header className="flex h-13 shrink-0 items-center gap-2 border-line2 border-b px-4">
        <h2 className="min-w-0 flex-1 truncate font-semibold text-title">{title}</h2>
        {actions}
        <Button kind="ghost" square aria-label="Close" title="Close (Esc)" onClick={onClose}>
          <X className="size-4" aria-hidden="true" />
        </Button>
      </header>
      <div className="min-h-0 flex-1 overflow-y-auto px-4 py-4 lg:px-6">
        <Heading value="h3">{children}</Heading>
      </div>
    </aside>
  );
}

/** A part of a panel, ruled off from the one above. */
export function Section({
  title,
  aside,
  children,
}: {
  title: string;
  aside?: ReactNode;
  children: ReactNode;
}) {
  const Title = useContext(Heading);
  return (
    <section className="mt-6 border-line2 border-t pt-4 first:mt-0 first:border-0 first:pt-0">
      <div className="mb-2 flex items-center justify-between gap-2">
        <Title className="font-semibold text-body">{title}</Title>
        {aside}
      </div>
      {children}
    </section>
  );
}

/** Names and values in two columns; what has no value is left out. */
export function Facts({ children }: { children: ReactNode }) {
  return <dl className="grid grid-cols-[8rem_1fr] gap-x-4 gap-y-1.5">{children}</dl>;
}

export function Fact({ name, children }: { name: string; children: ReactNode }) {
  if (children === null || children === undefined || children === false) return null;
  return (
    <>
      <dt className="text-ink3">{name}</dt>
      <dd className="min-w-0 break-words">{children}</dd>
    </>
  );
}
