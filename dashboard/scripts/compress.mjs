// After `vite build`: a brotli and a gzip twin beside each file, dist/manifest.json with a hash over
// all of them, and the size budget. The server picks a twin by Accept-Encoding and compresses nothing.
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const FIRST_ROUTE_KB = 140;
const ALL_KB = 320;

const dist = fileURLToPath(new URL("../dist/", import.meta.url));
const chunksFile = join(dist, "vite-manifest.json");
const chunks = JSON.parse(readFileSync(chunksFile, "utf8"));

const files = readdirSync(dist, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => relative(dist, join(entry.parentPath, entry.name)).split(sep).join("/"))
  .filter((name) => !/\.(br|gz)$/.test(name) && !["manifest.json", "vite-manifest.json"].includes(name))
  .sort();

const hash = createHash("sha256");
const gzipped = new Map();
for (const name of files) {
  const body = readFileSync(join(dist, name));
  hash.update(`${name}\0${body.length}\0`).update(body);
  if (name.endsWith(".woff2")) continue; // is brotli inside
  const gzip = gzipSync(body, { level: 9 });
  const brotli = brotliCompressSync(body, {
    params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: body.length },
  });
  gzipped.set(name, gzip.length);
  for (const [ending, small] of [
    [".gz", gzip],
    [".br", brotli],
  ]) {
    const twin = join(dist, name + ending);
    if (small.length < body.length) writeFileSync(twin, small);
    else if (existsSync(twin)) rmSync(twin);
  }
}
writeFileSync(
  join(dist, "manifest.json"),
  `${JSON.stringify({ hash: hash.digest("hex"), files }, null, 1)}\n`,
);
rmSync(chunksFile); // not served

/** Every script that a chunk needs before it runs. */
function needed(key, seen = new Set()) {
  if (seen.has(key)) return seen;
  seen.add(key);
  for (const next of chunks[key]?.imports ?? []) needed(next, seen);
  return seen;
}

const kilobytes = (keys) =>
  [...new Set([...keys].map((key) => chunks[key]?.file))]
    .filter((file) => file?.endsWith(".js"))
    .reduce((sum, file) => sum + (gzipped.get(file) ?? 0), 0) / 1000;

const entry = Object.keys(chunks).find((key) => chunks[key].isEntry);
// Where `/` leads: src/app/screens.ts names it.
const first = readFileSync(new URL("../src/app/screens.ts", import.meta.url), "utf8").match(
  /FIRST_ROUTE = "\.\.\/(routes\/[^"]+)"/,
);
const route = first && `src/${first[1]}.tsx`;
if (!entry || !route || !chunks[route]) {
  console.error(`budget: cannot find the first route ${route ?? "in src/app/screens.ts"} in the build`);
  process.exit(1);
}
const firstKb = kilobytes(needed(route, needed(entry)));
const allKb = [...gzipped].filter(([name]) => name.endsWith(".js")).reduce((sum, [, n]) => sum + n, 0) / 1000;
console.log(
  `JavaScript, gzip: first route ${firstKb.toFixed(1)} of ${FIRST_ROUTE_KB} KB, all ${allKb.toFixed(1)} of ${ALL_KB} KB`,
);
if (firstKb > FIRST_ROUTE_KB || allKb > ALL_KB) {
  console.error("budget: too much JavaScript; load it with the route that needs it, or leave it out");
  process.exit(1);
}
