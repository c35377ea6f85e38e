// The built page, and what it may do.
import { readdirSync, readFileSync } from "node:fs";
import { extname, join } from "node:path";

const types = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
};
const built = join(import.meta.dirname, "dist");
const files = new Map();
for (const entry of readdirSync(built, { recursive: true, withFileTypes: true })) {
  if (!entry.isFile()) continue;
  const path = join(entry.parentPath, entry.name);
  files.set(path.slice(built.length), { type: types[extname(path)], bytes: readFileSync(path) });
}

/** Its own scripts and styles, and offpeak at `url` as the one other place to talk to. */
export const policy = (url) =>
  `default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; ` +
  `connect-src 'self' ${url} ${url.replace(/^http/, "ws")}; ` +
  `base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;

/** Answers with a file of the page, or says that there is none. */
export function serve(request, response) {
  const file = request.method === "GET" && files.get(request.url === "/" ? "/index.html" : request.url);
  if (file) response.setHeader("content-type", file.type).end(file.bytes);
  return Boolean(file);
}
