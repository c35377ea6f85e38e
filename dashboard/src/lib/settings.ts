// What this browser remembers: looks, and that somebody signed in, as an operator too. Filters are in the address, and no key
// is ever kept.

export type Setting = "theme" | "keys" | "signedIn" | "operator";

export function readSetting(name: Setting): string | undefined {
  try {
    return localStorage.getItem(`offpeak.${name}`) ?? undefined;
  } catch {
    return undefined; // storage is blocked
  }
}

export function writeSetting(name: Setting, value: string | undefined): void {
  try {
    if (value === undefined) localStorage.removeItem(`offpeak.${name}`);
    else localStorage.setItem(`offpeak.${name}`, value);
  } catch {
    // It holds until the page is closed.
  }
}

/** Whether anything is remembered at all. */
export function storageWorks(): boolean {
  try {
    localStorage.setItem("offpeak.probe", "");
    localStorage.removeItem("offpeak.probe");
    return true;
  } catch {
    return false;
  }
}
