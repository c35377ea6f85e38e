import clsx from "clsx";
import { type ComponentProps, useMemo } from "react";

/** `{{ value }}`, `{% statement %}` and `{# remark #}`. */
const MARKS = /\{\{[\s\S]*?\}\}|\{%[\s\S]*?%\}|\{#[\s\S]*?#\}/g;

type Piece = { at: number; text: string; kind: "plain" | "value" | "statement" | "remark" };

export function pieces(text: string): Piece[] {
  const all: Piece[] = [];
  let from = 0;
  const plain = (to: number) => {
    if (to > from) all.push({ at: from, text: text.slice(from, to), kind: "plain" });
  };
  for (const match of text.matchAll(MARKS)) {
    plain(match.index);
    const kind = match[0][1] === "{" ? "value" : match[0][1] === "%" ? "statement" : "remark";
    all.push({ at: match.index, text: match[0], kind });
    from = match.index + match[0].length;
  }
  plain(text.length);
  return all;
}

const LOOKS = {
  plain: "",
  value: "rounded-sm bg-tide-wash text-tide-ink",
  statement: "text-gain",
  remark: "text-ink3",
} as const;

/** Both layers are set alike, letter upon letter. */
const SET = "col-start-2 row-start-1 m-0 whitespace-pre py-2 pr-4 pl-3 font-mono text-meta";

/** A template with its lines counted and what is filled in marked: a plain text field over its own colours.
 *  Without `onChange` it is for reading. */
export function Template({
  text,
  onText,
  className,
  ...rest
}: { text: string; onText?: (text: string) => void } & Omit<
  ComponentProps<"textarea">,
  "value" | "onChange"
>) {
  const marked = useMemo(() => pieces(text), [text]);
  const lines = text.split("\n").length;
  return (
    <div
      className={clsx(
        "grid max-h-120 grid-cols-[auto_1fr] overflow-auto rounded-md border border-line",
        onText ? "bg-bg focus-within:outline-2 focus-within:outline-tide" : "bg-sunk",
        className,
      )}
    >
      <div
        aria-hidden="true"
        className="sticky left-0 z-1 col-start-1 row-start-1 select-none whitespace-pre border-line2 border-r bg-rail px-2 py-2 text-right font-mono text-ink3 text-meta"
      >
        {Array.from({ length: lines }, (_, nth) => nth + 1).join("\n")}
      </div>
      <pre aria-hidden="true" className={SET}>
        {marked.map((piece) => (
          <span key={piece.at} className={LOOKS[piece.kind]}>
            {piece.text}
          </span>
        ))}
        {/* The last line has its height also while it is empty. */}
        {"\n"}
      </pre>
      <textarea
        spellCheck={false}
        wrap="off"
        readOnly={!onText}
        value={text}
        onChange={(event) => onText?.(event.target.value)}
        className={clsx(
          SET,
          "resize-none overflow-hidden bg-transparent text-transparent caret-ink outline-none",
        )}
        {...rest}
      />
    </div>
  );
}
