import { FirstCommand } from "../../parts/FirstCommand";
import { Empty } from "../../ui/Empty";

export function NoJobs() {
  return (
    <Empty title="No jobs yet">
      <p>Send the first one with your API key. It shows up here as soon as it is accepted.</p>
      <FirstCommand />
    </Empty>
  );
}
