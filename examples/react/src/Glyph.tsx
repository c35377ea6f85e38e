import type { State } from "./jobs";

const shapes: Record<State, React.ReactNode> = {
  queued: <circle cx="8" cy="8" r="6" strokeDasharray="2.4 2.3" />,
  submitted: <HalfRing />,
  processing: <HalfRing />,
  completed: <path d="m3 8.5 3.4 3.4L13 4.8" />,
  failed: <path d="M3 3h10v10H3zM8 5.6v3M8 10.6v.1" />,
  canceled: <path d="M8 2a6 6 0 1 1 0 12A6 6 0 0 1 8 2zM5 8h6" />,
};

function HalfRing() {
  return (
    <>
      <circle cx="8" cy="8" r="6" />
      <path d="M8 4.5a3.5 3.5 0 0 1 0 7z" fill="currentColor" stroke="none" />
    </>
  );
}

/** A state by its shape; words and colour stand beside it. */
export function Glyph({ state }: { state: State }) {
  return (
    <svg className="glyph" data-state={state} viewBox="0 0 16 16" aria-hidden="true">
      {shapes[state]}
    </svg>
  );
}
