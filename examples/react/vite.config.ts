import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

export default defineConfig({
  plugins: [react()],
  // Small files inlined as data: would need more of the content security policy.
  build: { assetsInlineLimit: 0, modulePreload: { polyfill: false } },
});
