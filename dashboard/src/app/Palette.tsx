import { useNavigate } from "@tanstack/react-router";
import { clsx } from "clsx";
import { type KeyboardEvent, useId, useMemo, useState } from "react";
import { setTheme, type Theme } from "../lib/theme";
import { Dialog } from "../ui/Dialog";
import { type ScreenEntry, screenOfId } from "./screens";

type Command = { id: string; title: string; hint?: string; run: () => void };

/** One field for everything: an id leads to its thing, a word to a screen or an action. */
export function Palette({
  screens,
  onClose,
  onSignOut,
}: {
  screens: readonly ScreenEntry[];
  onClose: () => void;
  onSignOut: () => void;
}) {
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const list = useId();
  const navigate = useNavigate();

  const all = useMemo<Command[]>(
    () => [
      ...screens
        .filter(({ icon }) => icon)
        .map(({ path, title, key }) => ({
          id: path,
          title: `Go to ${title}`,
          hint: key && `g ${key}`,
          run: () => void navigate({ to: path }),
        })),
      ...(["light", "dark", "system"] satisfies Theme[]).map((theme) => ({
        id: `theme-${theme}`,
        title: `Theme: ${theme}`,
        run: () => setTheme(theme),
      })),
      { id: "sign-out", title: "Sign out", run: onSignOut },
    ],
    [screens, navigate, onSignOut],
  );

  const word = text.trim().toLowerCase();
  const screen = screenOfId(word, screens);
  const found: Command[] = screen
    ? [
        {
          id: word,
          title: `Open ${word}`,
          hint: screen.title,
          run: () => void navigate({ to: screen.path, search: { id: word } }),
        },
      ]
    : all.filter(({ title }) => title.toLowerCase().includes(word));
  const current = found[Math.min(at, found.length - 1)];

  function run(command: Command | undefined) {
    if (!command) return;
    onClose();
    command.run();
  }

  function key(event: KeyboardEvent) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && found.length > 0) {
      event.preventDefault();
      setAt((before) => (Math.min(before, found.length - 1) + step + found.length) % found.length);
    } else if (event.key === "Enter") {
      event.preventDefault();
      run(current);
    }
  }

  return (
    <Dialog title="Search" onClose={onClose} bare>
      <input
        role="combobox"
        aria-label="Search, or paste an id"
        aria-expanded="true"
        aria-controls={list}
        aria-activedescendant={current ? `${list}-${current.id}` : undefined}
        autoComplete="off"
        spellCheck={false}
        placeholder="A screen, an action, or an id"
        className="h-12 w-full rounded-t-lg border-line2 border-b bg-transparent px-4 text-title focus-visible:outline-none"
        value={text}
        onChange={(event) => {
          setText(event.target.value);
          setAt(0);
        }}
        onKeyDown={key}
      />
      <div id={list} role="listbox" aria-label="Found" className="max-h-80 overflow-y-auto p-2">
        {found.map((command) => (
          <div
            key={command.id}
            id={`${list}-${command.id}`}
            role="option"
            tabIndex={-1}
            aria-selected={command === current}
            className={clsx(
              "flex h-8 cursor-pointer items-center justify-between gap-4 rounded-md px-2",
              command === current && "bg-tide-wash text-tide-ink",
            )}
            onPointerMove={() => setAt(found.indexOf(command))}
            onClick={() => run(command)}
            onKeyDown={(event) => event.key === "Enter" && run(command)}
          >
            <span className="truncate">{command.title}</span>
            {command.hint && <span className="shrink-0 text-ink2 text-meta">{command.hint}</span>}
          </div>
        ))}
      </div>
      {found.length === 0 && (
        <p className="px-4 pb-4 text-ink2" role="status">
          Nothing is called that. Paste a whole id, as job_…, to open it.
        </p>
      )}
    </Dialog>
  );
}
