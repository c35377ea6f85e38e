import { useNavigate, useRouterState } from "@tanstack/react-router";
import { Menu, Search } from "lucide-react";
import { lazy, type ReactNode, Suspense, useEffect, useMemo, useRef, useState } from "react";
import type { OperatorSession, Session } from "../api/session";
import { type Keys, useKeys } from "../lib/keys";
import { useConnection } from "../live/hooks";
import { Button } from "../ui/Button";
import { holdOrResume, LiveState } from "./LiveState";
import { Mark } from "./Mark";
import { Rail } from "./Rail";
import { screensFor } from "./screens";

const Palette = lazy(() => import("./Palette").then(({ Palette }) => ({ default: Palette })));
const Shortcuts = lazy(() => import("./Shortcuts").then(({ Shortcuts }) => ({ default: Shortcuts })));
const SignOut = lazy(() => import("./SignOut").then(({ SignOut }) => ({ default: SignOut })));
const Look = lazy(() => import("./Look").then(({ Look }) => ({ default: Look })));

type Over = "palette" | "shortcuts" | "sign-out";

type Who = { session: Session | null; operator: OperatorSession | null };

/** Around every screen: the rail (a menu on a phone), notices, and the keys that work everywhere. */
export function Shell({ session, operator, children }: Who & { children: ReactNode }) {
  const [over, setOver] = useState<Over>();
  const navigate = useNavigate();
  const screens = useMemo(() => screensFor(session, operator !== null), [session, operator]);
  const go: Keys = Object.fromEntries(
    screens.filter(({ key }) => key).map(({ key, path }) => [`g ${key}`, () => void navigate({ to: path })]),
  );
  useKeys({ "Mod+k": () => setOver("palette"), "?": () => setOver("shortcuts"), l: holdOrResume, ...go });

  const rail = (
    <Rail
      session={session}
      operator={operator}
      screens={screens}
      onSearch={() => setOver("palette")}
      onShortcuts={() => setOver("shortcuts")}
      onSignOut={() => setOver("sign-out")}
    />
  );
  // One that closes may say so after another one was opened.
  const close = (what: Over) => () => setOver((now) => (now === what ? undefined : now));
  return (
    <div className="flex h-full flex-col">
      <a
        href="#screen"
        className="sr-only focus:not-sr-only focus:absolute focus:z-50 focus:bg-raised focus:p-2"
      >
        Skip to the screen
      </a>
      <Notices session={session} />
      <TopBar live={session !== null} onSearch={() => setOver("palette")}>
        {rail}
      </TopBar>
      <div className="flex min-h-0 flex-1">
        <header className="hidden w-53 shrink-0 border-line border-r bg-rail md:block">{rail}</header>
        <main id="screen" tabIndex={-1} className="flex min-w-0 flex-1 flex-col outline-none">
          {children}
        </main>
      </div>
      <Suspense>
        {over === "palette" && (
          <Palette screens={screens} onClose={close("palette")} onSignOut={() => setOver("sign-out")} />
        )}
        {over === "shortcuts" && <Shortcuts screens={screens} onClose={close("shortcuts")} />}
        {over === "sign-out" && <SignOut session={session} operator={operator} onClose={close("sign-out")} />}
      </Suspense>
    </div>
  );
}

function Notices({ session }: { session: Session | null }) {
  const { updated } = useConnection();
  const standin = session?.upstream.standin;
  if (!standin && !updated && !session?.operator) return null;
  return (
    <section aria-label="Notices" className="shrink-0">
      <Suspense>{session?.operator && <Look session={session} />}</Suspense>
      {standin && (
        <p className="bg-tide-wash px-4 py-1.5 text-center text-meta text-tide-ink">
          Stand-in: nothing is sent to Anthropic, answers are made up and nothing is billed.
        </p>
      )}
      {updated && (
        <p className="flex items-center justify-center gap-3 border-line border-b bg-raised px-4 py-1.5 text-meta">
          The server has a new version.
          <Button onClick={() => location.reload()}>Reload</Button>
        </p>
      )}
    </section>
  );
}

/** On a phone: a bar with a menu that opens over the screen and closes when one goes somewhere. */
function TopBar({ live, onSearch, children }: { live: boolean; onSearch: () => void; children: ReactNode }) {
  const menu = useRef<HTMLDialogElement>(null);
  const address = useRouterState({ select: ({ location }) => location.pathname });
  // biome-ignore lint/correctness/useExhaustiveDependencies: the address is what closes it
  useEffect(() => menu.current?.close(), [address]);
  return (
    <header className="flex h-13 shrink-0 items-center gap-2 border-line border-b bg-rail px-3 md:hidden">
      <Button
        kind="ghost"
        square
        className="size-9"
        aria-label="Menu"
        onClick={() => menu.current?.showModal()}
      >
        <Menu className="size-5" aria-hidden="true" />
      </Button>
      <span className="flex flex-1 items-center gap-2 font-semibold">
        <Mark /> offpeak
      </span>
      {live && <LiveState />}
      <Button kind="ghost" square className="size-9" aria-label="Search" onClick={onSearch}>
        <Search className="size-5" aria-hidden="true" />
      </Button>
      <dialog
        ref={menu}
        closedby="any"
        aria-label="Menu"
        className="m-0 h-full max-h-full w-64 max-w-[85vw] border-line border-r bg-rail shadow-float"
      >
        {children}
      </dialog>
    </header>
  );
}
