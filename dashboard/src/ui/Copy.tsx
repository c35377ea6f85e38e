import { Check, Copy as CopyIcon } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { Button } from "./Button";
import { Go } from "./Go";
import { toast } from "./Toast";

/** Over plain http to a host that is not this machine there is no clipboard API: then by an old way,
 *  whose field must stand beside `near`, since an open dialog makes everything outside of it inert. */
export async function copyText(
  text: string,
  near: Element | null = document.activeElement,
): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = document.createElement("textarea");
    field.value = text;
    field.readOnly = true;
    field.className = "fixed top-0 left-0 size-px opacity-0";
    const inside = near?.closest("dialog") ?? document.body;
    const focused = document.activeElement;
    inside.append(field);
    field.select();
    let done = false;
    try {
      done = document.execCommand("copy");
    } catch {
      done = false;
    }
    field.remove();
    if (focused instanceof HTMLElement) focused.focus();
    return done;
  }
}

/** `what` names it for who cannot see the icon: `job id`. */
export function CopyButton({ text, what, word }: { text: string; what: string; word?: string }) {
  const [copied, setCopied] = useState(false);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  const Icon = copied ? Check : CopyIcon;
  return (
    <Button
      kind="ghost"
      square={!word}
      aria-label={word ? undefined : `Copy the ${what}`}
      title={`Copy the ${what}`}
      onClick={async (event) => {
        if (!(await copyText(text, event.currentTarget))) {
          toast("It could not be copied", { detail: "Mark the text and copy it by hand.", bad: true });
          return;
        }
        setCopied(true);
        clearTimeout(timer.current);
        timer.current = setTimeout(() => setCopied(false), 1500);
      }}
    >
      <Icon className="size-3.5" aria-hidden="true" />
      {word}
    </Button>
  );
}

/** An id in full, with its copy button; `to` makes it a link to the screen where it opens. */
export function CopyId({ id, what, to }: { id: string; what: string; to?: string }) {
  const text = <code className="font-mono text-meta">{id}</code>;
  return (
    <span className="inline-flex min-w-0 max-w-full items-center gap-1 align-top">
      <span className="min-w-0 truncate">
        {to ? (
          <Go to={to} search={{ id }}>
            {text}
          </Go>
        ) : (
          text
        )}
      </span>
      <span className="-my-2 shrink-0">
        <CopyButton text={id} what={what} />
      </span>
    </span>
  );
}
