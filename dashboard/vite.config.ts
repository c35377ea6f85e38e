import tailwind from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

const server = process.env.OFFPEAK_URL ?? "http://127.0.0.1:8080";

// The host stays as the browser said it: the server compares it with the page's origin.
const proxy = {
  "/v1": { target: server, ws: true },
  "/healthz": server,
  "/openapi.json": server,
};

/** What the server sends with the page; `npm run preview` shows the built page under it. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; " +
  "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

export default defineConfig({
  // Under a path prefix: OFFPEAK_BASE=./ and a <base href> that the server writes into index.html.
  base: process.env.OFFPEAK_BASE ?? "/",
  plugins: [react(), tailwind()],
  server: { proxy },
  preview: { proxy, headers: { "content-security-policy": POLICY } },
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
