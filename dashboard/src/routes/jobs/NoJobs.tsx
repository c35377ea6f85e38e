import { useMay } from "../../api/session";
import { FirstCommand } from "../../parts/FirstCommand";
import { Empty } from "../../ui/Empty";

export function NoJobs() {
  if (!useMay("jobs:write"))
    return (
      <Empty title="No jobs yet">
        <p>The first one shows up here as soon as somebody submits it.</p>
      </Empty>
    );
  return (
    <Empty title="No jobs yet">
      <p>Send the first one with your API key. It shows up here as soon as it is accepted.</p>
      <FirstCommand />
    </Empty>
  );
}
