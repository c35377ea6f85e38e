// JSON shown from its source text, never parsed and written again: a number that does not fit a float
// stays what it was.

const TOKENS = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g;

/** The same document with line breaks and two spaces of indent. */
export function indentJson(source: string): string {
  const tokens = source.match(TOKENS) ?? [];
  let depth = 0;
  let text = "";
  const line = () => `\n${"  ".repeat(depth)}`;
  tokens.forEach((token, n) => {
    const next = tokens[n + 1];
    if (token === "{" || token === "[") {
      text += token;
      if (next === "}" || next === "]") return;
      depth += 1;
      text += line();
    } else if (token === "}" || token === "]") {
      const before = tokens[n - 1];
      if (before !== "{" && before !== "[") {
        depth -= 1;
        text += line();
      }
      text += token;
    } else if (token === ",") text += `,${line()}`;
    else if (token === ":") text += ": ";
    else text += token;
  });
  return text;
}

/** The source of one member of the outermost object; undefined if it has none of that name. */
export function memberSource(source: string, name: string): string | undefined {
  let depth = 0;
  let key: string | undefined;
  let start: number | undefined;
  let expectKey = false;
  for (const match of source.matchAll(TOKENS)) {
    const [token] = match;
    const at = match.index;
    if (depth === 1 && start !== undefined && (token === "," || token === "}"))
      return source.slice(start, at).trim();
    if (token === "{" || token === "[") {
      depth += 1;
      if (depth === 1) expectKey = token === "{";
    } else if (token === "}" || token === "]") depth -= 1;
    else if (depth === 1 && token === ",") expectKey = true;
    else if (depth === 1 && token === ":" && key === name) start = at + 1;
    else if (depth === 1 && expectKey && token.startsWith('"')) {
      key = JSON.parse(token) as string;
      expectKey = false;
    }
  }
  return undefined;
}
