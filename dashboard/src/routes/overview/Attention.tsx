import { CirclePause, TriangleAlert } from "lucide-react";
import type { Overview } from "../../api/overview";
import { CopyId } from "../../ui/Copy";
import { words } from "../../ui/Glyph";
import { Go } from "../../ui/Go";
import { When } from "../../ui/When";

/** What is not as it should be; nothing where all is well. */
export function Attention({ overview: { pause, incidents } }: { overview: Overview }) {
  if (!pause && incidents.length === 0) return null;
  return (
    <section aria-label="Needs attention" className="border-line border-b bg-raised">
      {pause && (
        <div role="alert" className="flex gap-3 border-line2 border-b px-4 py-3 last:border-0 md:px-6">
          <CirclePause className="mt-px size-4 shrink-0 text-warn" aria-hidden="true" />
          <div className="min-w-0">
            <p className="font-semibold">Nothing is sent to Anthropic</p>
            <p className="text-ink2">{pause.reason}</p>
            <p className="text-ink2">
              The next try is <When at={pause.until} />. Jobs are accepted and wait.
            </p>
          </div>
        </div>
      )}
      {incidents.length > 0 && (
        <ul>
          {incidents.map(({ id, kind, at, batch, detail }) => (
            <li key={id} className="flex gap-3 border-line2 border-b px-4 py-3 last:border-0 md:px-6">
              <TriangleAlert className="mt-px size-4 shrink-0 text-bad" aria-hidden="true" />
              <div className="min-w-0 flex-1">
                <p className="font-semibold first-letter:uppercase">{words(kind)}</p>
                <p className="text-ink2">{detail}</p>
                <p className="flex flex-wrap items-baseline gap-x-3 text-ink3 text-meta">
                  <When at={at} />
                  {batch && (
                    <Go to="/batches" search={{ id: batch }}>
                      See the batch
                    </Go>
                  )}
                  <span className="inline-flex min-w-0 items-baseline gap-1">
                    For your operator: <CopyId id={id} what="incident id" />
                  </span>
                </p>
              </div>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
