import { at } from "../../lib/root";
import { Code } from "../../ui/Code";
import { Empty } from "../../ui/Empty";

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
