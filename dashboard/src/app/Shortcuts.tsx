import { useState } from "react";
import { singleKeys } from "../lib/keys";
import { Dialog } from "../ui/Dialog";
import type { ScreenEntry } from "./screens";

const LIST: readonly [string, string][] = [
  ["Ctrl K or ⌘ K", "Search, or paste an id to go there"],
  ["?", "This sheet"],
  ["/", "To the filter"],
  ["j k ↓ ↑", "Next or previous row"],
  ["Enter", "Open the row"],
  ["Esc", "Back out one level"],
  ["x", "Select the row"],
  ["Shift j, Shift k", "Extend the selection"],
  ["a", "Select every loaded row"],
  ["Shift a", "Then all that match the filter"],
  ["r", "Retry what is selected or open"],
  ["c", "Cancel what is selected or open"],
  ["y", "Copy the open one's id"],
  ["[ ]", "Previous or next tab of the panel"],
  ["l", "Hold live, or resume"],
];

export function Shortcuts({ screens, onClose }: { screens: readonly ScreenEntry[]; onClose: () => void }) {
  const [on, setOn] = useState(singleKeys.on());
  return (
    <Dialog title="Keyboard shortcuts" onClose={onClose}>
      <dl className="grid grid-cols-[9rem_1fr] gap-x-4 gap-y-1.5">
        {LIST.map(([keys, what]) => (
          <Line key={keys} keys={keys} what={what} />
        ))}
        {screens.map(({ key, title }) => key && <Line key={key} keys={`g ${key}`} what={`Go to ${title}`} />)}
      </dl>
      <label className="mt-4 flex items-center gap-2 border-line2 border-t pt-3 text-ink2">
        <input
          type="checkbox"
          className="size-3.5 accent-tide"
          checked={on}
          onChange={(event) => {
            singleKeys.set(event.target.checked);
            setOn(event.target.checked);
          }}
        />
        Single letters are shortcuts
      </label>
    </Dialog>
  );
}

function Line({ keys, what }: { keys: string; what: string }) {
  return (
    <>
      <dt>
        <kbd className="font-mono text-meta text-ink2">{keys}</kbd>
      </dt>
      <dd>{what}</dd>
    </>
  );
}
