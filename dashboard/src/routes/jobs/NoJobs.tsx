import { at } from "../../lib/root";
import { Button } from "../../ui/Button";
import { Code } from "../../ui/Code";
import { Empty } from "../../ui/Empty";

export function NoMatch({ onClear }: { onClear: () => void }) {
  return (
    <Empty title="No job matches">
      <p>Nothing that is still kept fits every filter that is set.</p>
      <Button onClick={onClear}>Clear the filters</Button>
    </Empty>
  );
}

/** With `params` of its own, so that it runs before there is any job type. */
const curl = () => `curl ${location.origin}${at("/v1/jobs")} \\
  -H "authorization: Bearer $OFFPEAK_KEY" \\
  -H "content-type: application/json" \\
  -d '{"params": {"model": "claude-haiku-5-5", "max_tokens": 256,
       "messages": [{"role": "user", "content": "Say hello."}]}}'`;

export function NoJobs() {
  return (
    <Empty title="No jobs yet">
      <p>Send the first one with your API key. It shows up here as soon as it is accepted.</p>
      <div className="w-lg max-w-[calc(100vw-32px)]">
        <Code text={curl()} what="command" />
      </div>
    </Empty>
  );
}
