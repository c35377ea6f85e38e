// Before the first paint, so that a dark page never flashes light. No inline script: the policy forbids it.
try {
  const theme = localStorage.getItem("offpeak.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage is blocked: the system's theme stands.
}
