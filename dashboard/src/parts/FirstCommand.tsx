import { at } from "../lib/root";
import { Code } from "../ui/Code";

/** With `params` of its own, so that it runs before there is any job type. */
const curl = () => `export OFFPEAK_URL=${location.origin}${at("")}
curl $OFFPEAK_URL/v1/jobs \\
  -H "authorization: Bearer $OFFPEAK_KEY" \\
  -H "content-type: application/json" \\
  -d '{"params": {"model": "claude-haiku-5-5", "max_tokens": 256,
       "messages": [{"role": "user", "content": "Say hello."}]}}'`;

/** What sends the first job, ready to be copied. */
export function FirstCommand() {
  return (
    <div className="w-lg max-w-[calc(100vw-32px)]">
      <Code text={curl()} what="command" />
    </div>
  );
}
