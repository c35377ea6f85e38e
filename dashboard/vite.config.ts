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

/** The packages but d3, and our own parts that the first route has too. */
const BASE = new RegExp(
  "node_modules/(react|react-dom|scheduler|@tanstack|openapi-fetch|clsx)/|" +
    "src/(live|lib/(time|number|money|url|keys|store|root|settings|filter)|api/(client|problem|query|session|jobs)|" +
    "ui/(Button|Page|Code|Copy|Glyph|Skeleton|Empty|Toast|ProblemNote|When|Cost|Flash))",
);

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
    // What every screen needs in one piece: many small ones compress worse.
    rolldownOptions: {
      output: {
        codeSplitting: {
          groups: [{ name: "base", test: BASE }],
        },
      },
    },
  },
  test: {
    environment: "happy-dom",
    setupFiles: ["src/test-setup.ts"],
    restoreMocks: true,
  },
});
