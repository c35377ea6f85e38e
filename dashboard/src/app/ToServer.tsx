import { useMutation } from "@tanstack/react-query";
import { goToServer } from "../api/identity";
import { asProblem, nextStep } from "../api/problem";
import { Button } from "../ui/Button";

/** Leads to the identity server, which sends the browser back. */
export function ToServer({ label }: { label: string }) {
  const go = useMutation({ mutationFn: goToServer });
  const problem = go.isError ? asProblem(go.error) : undefined;
  return (
    <>
      <Button kind="main" className="h-9" disabled={go.isPending} onClick={() => go.mutate()}>
        {label}
      </Button>
      {problem && (
        <p role="alert" className="text-bad">
          {/* What our server says of the other one says what to do. */}
          {problem.code === "identity_server_down"
            ? problem.message
            : `${problem.message} ${nextStep(problem)}`}
        </p>
      )}
    </>
  );
}
