/** The mark: a pulse. */
export function Mark() {
  return (
    <svg viewBox="0 0 16 16" className="size-5 shrink-0" aria-hidden="true">
      <rect width="16" height="16" rx="3" className="fill-tide" />
      <path
        d="M2.5 9.5h3l2-5 2.2 7 1.6-4h2.2"
        className="stroke-bg"
        fill="none"
        strokeWidth="1.5"
        strokeLinecap="round"
        strokeLinejoin="round"
      />
    </svg>
  );
}
