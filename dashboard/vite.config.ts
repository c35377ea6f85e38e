import tailwind from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

const server = process.env.OFFPEAK_URL ?? "http://127.0.0.1:8080";

export default defineConfig({
  // Under a path prefix: OFFPEAK_BASE=./ and a <base href> that the server writes into index.html.
  base: process.env.OFFPEAK_BASE ?? "/",
  plugins: [react(), tailwind()],
  server: {
    // The host stays as the browser said it: the server compares it with the page's origin.
    proxy: {
      "/v1": { target: server, ws: true },
      "/healthz": server,
      "/openapi.json": server,
    },
  },
  build: {
    // Small files inlined as data: would need more of the content security policy.
    assetsInlineLimit: 0,
    // `light-dark()` as it is written.
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
    modulePreload: { polyfill: false },
    manifest: "vite-manifest.json",
    reportCompressedSize: false,
  },
  test: {
    environment: "happy-dom",
    setupFiles: ["src/test-setup.ts"],
    restoreMocks: true,
  },
});
