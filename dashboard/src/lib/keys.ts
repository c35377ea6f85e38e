// Keys of the whole page. Single letters are off while typing, and for whoever switched them off
// (WCAG 2.1.4). The part that came last is asked first.

import { useEffect, useRef } from "react";
import { readSetting, writeSetting } from "./settings";

/** By `event.key`, with `Shift+` and `Mod+` (Ctrl or ⌘) before it, or `g j`: g, then j. */
export type Keys = Record<string, (event: KeyboardEvent) => void>;

const parts: { current: Keys }[] = [];
let prefix = "";
let prefixTimer: ReturnType<typeof setTimeout> | undefined;

const NAMED = new Set(["Escape", "Enter", "ArrowUp", "ArrowDown", "Home", "End"]);

export const singleKeys = {
  on: () => readSetting("keys") !== "off",
  set: (on: boolean) => writeSetting("keys", on ? undefined : "off"),
};

function typing(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName)) &&
    !(target instanceof HTMLInputElement && target.type === "checkbox")
  );
}

function name(event: KeyboardEvent): string {
  const letter = event.key.length === 1;
  // `?` needs Shift on most keyboards: only letters and named keys say it.
  const shift = event.shiftKey && (!letter || /[a-z]/i.test(event.key)) ? "Shift+" : "";
  return `${event.ctrlKey || event.metaKey ? "Mod+" : ""}${shift}${letter ? event.key.toLowerCase() : event.key}`;
}

function pressed(event: KeyboardEvent) {
  if (event.defaultPrevented || event.altKey) return;
  const key = name(event);
  const mod = key.startsWith("Mod+");
  if (!mod) {
    // An open dialog has the keyboard to itself; it closes itself on Escape.
    if (typing(event.target) || document.querySelector("dialog[open]:modal")) return;
    if (!NAMED.has(event.key) && !singleKeys.on()) return;
    // A focused button or link answers to Enter itself.
    if (event.key === "Enter" && event.target instanceof HTMLElement && event.target.closest("a,button"))
      return;
  }
  const full = prefix ? `${prefix} ${key}` : key;
  prefix = "";
  clearTimeout(prefixTimer);
  for (const part of parts.toReversed()) {
    const call = part.current[full];
    if (!call) continue;
    event.preventDefault();
    call(event);
    return;
  }
  if (key === "g") {
    prefix = "g";
    prefixTimer = setTimeout(() => {
      prefix = "";
    }, 1500);
  }
}

export function useKeys(keys: Keys): void {
  const part = useRef(keys);
  useEffect(() => {
    part.current = keys;
  });
  useEffect(() => {
    if (parts.length === 0) addEventListener("keydown", pressed);
    parts.push(part);
    return () => {
      parts.splice(parts.indexOf(part), 1);
      if (parts.length === 0) removeEventListener("keydown", pressed);
    };
  }, []);
}
