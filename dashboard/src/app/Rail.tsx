import { Link } from "@tanstack/react-router";
import { Keyboard, LogOut, Monitor, Moon, Search, Sun } from "lucide-react";
import { useSyncExternalStore } from "react";
import type { OperatorSession, Session } from "../api/session";
import { nextTheme, setTheme, theme } from "../lib/theme";
import { Button } from "../ui/Button";
import { LiveState } from "./LiveState";
import { Mark } from "./Mark";
import type { ScreenEntry } from "./screens";

const MOD = /Mac|iPhone|iPad/.test(navigator.userAgent) ? "⌘" : "Ctrl";

/** What stands at the left: where one is, where one can go, and how fresh it all is. */
export function Rail({
  session,
  operator,
  screens,
  onSearch,
  onShortcuts,
  onSignOut,
}: {
  session: Session | null;
  operator: OperatorSession | null;
  screens: readonly ScreenEntry[];
  onSearch: () => void;
  onShortcuts: () => void;
  onSignOut: () => void;
}) {
  return (
    <div className="flex h-full flex-col gap-4 overflow-y-auto px-3 py-4">
      <p className="flex items-center gap-2 px-2 font-semibold text-title">
        <Mark /> offpeak
      </p>
      <button
        type="button"
        onClick={onSearch}
        aria-keyshortcuts="Control+K Meta+K"
        className="flex h-7 shrink-0 items-center gap-2 rounded-md border border-line bg-bg px-2 text-ink3 hover:border-ink3"
      >
        <Search className="size-3.5" aria-hidden="true" />
        <span className="flex-1 truncate text-left">Search or id</span>
        <kbd className="font-sans text-axis">{MOD} K</kbd>
      </button>
      <nav aria-label="Screens">
        <ul className="flex flex-col">
          {screens.map(({ path, title, icon: Icon }) =>
            Icon ? (
              <li key={path}>
                <Link
                  to={path}
                  className="flex h-8 items-center gap-2 rounded-md px-2 text-ink2 hover:bg-sunk hover:text-ink"
                  activeProps={{ className: "bg-sunk font-semibold !text-ink" }}
                >
                  <Icon className="size-4" aria-hidden="true" />
                  {title}
                </Link>
              </li>
            ) : null,
          )}
        </ul>
      </nav>
      <div className="mt-auto flex flex-col gap-3 border-line border-t px-2 pt-3">
        {session && <LiveState />}
        <div className="min-w-0">
          <p className="truncate">{session ? session.name : "All tenants"}</p>
          <p className="truncate font-mono text-ink3 text-meta" title="Who is signed in">
            {session ? (session.key ?? session.person) : operator?.name}
          </p>
        </div>
        <div className="-ml-2 flex">
          <ThemeButton />
          <Button
            kind="ghost"
            square
            aria-label="Keyboard shortcuts"
            title="Keyboard shortcuts (?)"
            onClick={onShortcuts}
          >
            <Keyboard className="size-4" aria-hidden="true" />
          </Button>
          <Button kind="ghost" square aria-label="Sign out" title="Sign out" onClick={onSignOut}>
            <LogOut className="size-4" aria-hidden="true" />
          </Button>
        </div>
      </div>
    </div>
  );
}

function ThemeButton() {
  const { is } = useSyncExternalStore(theme.subscribe, theme.current);
  const Icon = { system: Monitor, light: Sun, dark: Moon }[is];
  const words = `Theme: ${is}. Change to ${nextTheme(is)}`;
  return (
    <Button kind="ghost" square aria-label={words} title={words} onClick={() => setTheme(nextTheme(is))}>
      <Icon className="size-4" aria-hidden="true" />
    </Button>
  );
}
