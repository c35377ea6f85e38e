import { X } from "lucide-react";
import { useSyncExternalStore } from "react";
import { asProblem, nextStep } from "../api/problem";
import { store } from "../lib/store";
import { Button } from "./Button";

type Toast = { id: number; text: string; detail?: string; bad: boolean };

const STAYS_MS = 6000;
const toasts = store<{ all: Toast[] }>({ all: [] });
let last = 0;

const dismiss = (id: number) => toasts.set({ all: toasts.current().all.filter((toast) => toast.id !== id) });

/** What was done. A bad one stays until it is closed: it says what to do. */
export function toast(text: string, { detail, bad = false }: { detail?: string; bad?: boolean } = {}): void {
  last += 1;
  const id = last;
  toasts.set({ all: [...toasts.current().all, { id, text, detail, bad }].slice(-4) });
  if (!bad) setTimeout(() => dismiss(id), STAYS_MS);
}

export function toastProblem(did: string, error: unknown): void {
  const problem = asProblem(error);
  toast(did, { detail: `${problem.message} ${nextStep(problem)}`.trim(), bad: true });
}

export function Toaster() {
  const { all } = useSyncExternalStore(toasts.subscribe, toasts.current);
  return (
    <div
      role="status"
      aria-live="polite"
      className="pointer-events-none fixed right-4 bottom-4 z-40 flex w-sm max-w-[calc(100vw-32px)] flex-col gap-2"
    >
      {all.map(({ id, text, detail, bad }) => (
        <div
          key={id}
          className="pointer-events-auto flex items-start gap-2 rounded-lg border border-line bg-raised p-3 shadow-float"
        >
          <div className="min-w-0 flex-1">
            <p className={bad ? "font-semibold text-bad" : "font-semibold"}>{text}</p>
            {detail && <p className="text-ink2">{detail}</p>}
          </div>
          <Button kind="ghost" square aria-label="Dismiss" onClick={() => dismiss(id)}>
            <X className="size-4" aria-hidden="true" />
          </Button>
        </div>
      ))}
    </div>
  );
}
