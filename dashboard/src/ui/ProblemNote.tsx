import { CircleAlert } from "lucide-react";
import { asProblem, nextStep } from "../api/problem";
import { Button } from "./Button";

/** The one way in which a failure is shown: what happened, and what to do. */
export function ProblemNote({ error, onRetry }: { error: unknown; onRetry?: () => void }) {
  const problem = asProblem(error);
  return (
    <div role="alert" className="m-4 flex max-w-lg gap-3 rounded-lg border border-line bg-raised p-4">
      <CircleAlert className="mt-px size-4 shrink-0 text-bad" aria-hidden="true" />
      <div className="min-w-0 flex-1">
        <p className="font-semibold">{problem.title}</p>
        <p className="text-ink2">{problem.message}</p>
        {problem.fields.length > 0 && (
          <ul className="mt-1 list-disc pl-4 text-ink2">
            {problem.fields.map(({ field, message, line }) => (
              <li key={`${line}${field}${message}`}>
                {line != null && `Line ${line}: `}
                {field && <code className="font-mono text-meta">{field}</code>} {message}
              </li>
            ))}
          </ul>
        )}
        <p className="mt-1 text-ink2 empty:hidden">{nextStep(problem)}</p>
        {problem.requestId && (
          <p className="mt-2 text-ink3 text-meta">
            Request <code className="break-all font-mono">{problem.requestId}</code>
          </p>
        )}
        {onRetry && (
          <Button className="mt-3" onClick={onRetry}>
            Try again
          </Button>
        )}
      </div>
    </div>
  );
}
