import { type ReactNode, useEffect, useId, useRef, useState } from "react";
import { Button } from "./Button";

/** The browser's own modal dialog: it keeps the focus inside, and Escape closes it. */
export function Dialog({
  title,
  children,
  onClose,
  bare = false,
  holds = false,
}: {
  title: string;
  children: ReactNode;
  onClose: () => void;
  /** Stays when somebody clicks beside it: what it shows is shown once. */
  holds?: boolean;
  /** Without a visible heading and padding; the title is still said. */
  bare?: boolean;
}) {
  const ref = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useEffect(() => {
    const dialog = ref.current;
    if (!dialog || dialog.open) return;
    dialog.showModal();
    // React focuses at once, when nothing in a closed dialog can be: this is what it meant.
    dialog.querySelector<HTMLElement>("[data-focus]")?.focus();
  }, []);
  return (
    <dialog
      ref={ref}
      closedby={holds ? "closerequest" : "any"}
      aria-labelledby={heading}
      onClose={onClose}
      className="m-auto mt-[12vh] w-md max-w-[calc(100vw-32px)] rounded-lg border border-line bg-raised p-0 shadow-float"
    >
      <h2 id={heading} className={bare ? "sr-only" : "px-6 pt-5 font-semibold text-title"}>
        {title}
      </h2>
      <div className={bare ? undefined : "px-6 pt-3 pb-5"}>{children}</div>
    </dialog>
  );
}

/** Asks before something that cannot be taken back. `typed`: a word to type, for very many. */
export function Confirm({
  title,
  children,
  action,
  danger = false,
  typed,
  onConfirm,
  onClose,
}: {
  title: string;
  children: ReactNode;
  action: string;
  danger?: boolean;
  typed?: string;
  onConfirm: () => void;
  onClose: () => void;
}) {
  const [word, setWord] = useState("");
  return (
    <Dialog title={title} onClose={onClose}>
      <form
        method="dialog"
        onSubmit={() => {
          onConfirm();
        }}
      >
        <div className="text-ink2">{children}</div>
        {typed && (
          <label className="mt-3 block">
            Type <strong className="font-semibold">{typed}</strong> to go on
            <input
              className="mt-1 block h-7 w-full rounded-md border border-line bg-bg px-2"
              value={word}
              onChange={(event) => setWord(event.target.value)}
            />
          </label>
        )}
        <div className="mt-5 flex justify-end gap-2">
          <Button onClick={onClose}>Back</Button>
          <Button
            type="submit"
            kind={danger ? "danger" : "main"}
            data-focus={danger ? undefined : ""}
            disabled={typed !== undefined && word !== typed}
          >
            {action}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
