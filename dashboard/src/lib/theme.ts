import { readSetting, writeSetting } from "./settings";
import { store } from "./store";

export type Theme = "system" | "light" | "dark";

const stored = readSetting("theme");
export const theme = store<{ is: Theme }>({
  is: stored === "light" || stored === "dark" ? stored : "system",
});

/** public/theme.js does the same before the first paint. */
export function setTheme(is: Theme): void {
  theme.set({ is });
  writeSetting("theme", is === "system" ? undefined : is);
  if (is === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = is;
}

export const nextTheme = (is: Theme): Theme =>
  ({ system: "light", light: "dark", dark: "system" })[is] as Theme;
