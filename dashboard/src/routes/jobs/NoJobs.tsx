import { FirstCommand } from "../../parts/FirstCommand";
import { Button } from "../../ui/Button";
import { Empty } from "../../ui/Empty";

export function NoMatch({ onClear }: { onClear: () => void }) {
  return (
    <Empty title="No job matches">
      <p>Nothing that is still kept fits every filter that is set.</p>
      <Button onClick={onClear}>Clear the filters</Button>
    </Empty>
  );
}

export function NoJobs() {
  return (
    <Empty title="No jobs yet">
      <p>Send the first one with your API key. It shows up here as soon as it is accepted.</p>
      <FirstCommand />
    </Empty>
  );
}
