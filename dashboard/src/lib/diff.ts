// What changed between two texts, line by line.

export type DiffLine = { kind: "same" | "out" | "in"; text: string };

/** Beyond this the middle is told as all out, all in: still true, only longer. */
const MAX_CELLS = 4_000_000;

export function diffLines(before: string, after: string): DiffLine[] {
  const a = before === "" ? [] : before.split("\n");
  const b = after === "" ? [] : after.split("\n");
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head += 1;
  let tail = 0;
  while (
    tail < a.length - head &&
    tail < b.length - head &&
    a[a.length - 1 - tail] === b[b.length - 1 - tail]
  )
    tail += 1;
  const same = (text: string): DiffLine => ({ kind: "same", text });
  return [
    ...a.slice(0, head).map(same),
    ...middle(a.slice(head, a.length - tail), b.slice(head, b.length - tail)),
    ...a.slice(a.length - tail).map(same),
  ];
}

/** By the longest common subsequence. */
function middle(a: readonly string[], b: readonly string[]): DiffLine[] {
  const all = (kind: "out" | "in", lines: readonly string[]) =>
    lines.map((text): DiffLine => ({ kind, text }));
  if (a.length * b.length > MAX_CELLS || a.length === 0 || b.length === 0)
    return [...all("out", a), ...all("in", b)];
  const width = b.length + 1;
  const longest = new Uint32Array((a.length + 1) * width);
  const at = (i: number, j: number) => longest[i * width + j] ?? 0;
  for (let i = a.length - 1; i >= 0; i -= 1)
    for (let j = b.length - 1; j >= 0; j -= 1)
      longest[i * width + j] = a[i] === b[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
  const lines: DiffLine[] = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    const [out, into] = [a[i], b[j]];
    if (out !== undefined && out === into) {
      lines.push({ kind: "same", text: out });
      i += 1;
      j += 1;
    } else if (out !== undefined && (into === undefined || at(i + 1, j) >= at(i, j + 1))) {
      lines.push({ kind: "out", text: out });
      i += 1;
    } else if (into !== undefined) {
      lines.push({ kind: "in", text: into });
      j += 1;
    }
  }
  return lines;
}
