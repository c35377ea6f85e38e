import clsx from "clsx";
import type { JobType } from "../../api/jobTypes";
import { type DiffLine, diffLines } from "../../lib/diff";
import { useUrl } from "../../lib/url";
import { Field, Select } from "../../ui/Form";
import { Section } from "../../ui/Panel";
import { schemaText } from "./Definition";

const settings = (type: JobType): string =>
  [
    ["description", type.description],
    ["model", type.model],
    ["max_tokens", type.max_tokens],
    ["deliver_within", type.deliver_within],
    ["on_late", type.on_late],
    ["on_unknown", type.on_unknown],
    ["reuse_for", type.reuse_for],
    ["coalesce", type.coalesce],
  ]
    .filter(([, value]) => value !== null && value !== undefined)
    .map(([name, value]) => `${name}: ${value}`)
    .join("\n");

const PARTS: readonly [title: string, of: (type: JobType) => string][] = [
  ["Settings", settings],
  ["System prompt", ({ system }) => system],
  ["Template", ({ template }) => template],
  ["Input schema", ({ input_schema }) => schemaText(input_schema)],
  ["Output schema", ({ output_schema }) => schemaText(output_schema)],
];

/** What changed from one version to another: `?a=` and `?b=`, or else the last two. */
export function Versions({ versions, more }: { versions: readonly JobType[]; more: boolean }) {
  const [url, setUrl] = useUrl();
  const find = (text: string | undefined) => versions.find(({ version }) => `${version}` === text);
  const to = find(url.b) ?? versions[0];
  const from = find(url.a) ?? versions[1];
  if (!to || !from)
    return (
      <p className="text-ink2">
        There is one version. With the next one, what changed between the two is shown here.
      </p>
    );
  const options = versions.map(({ version, shipped, created_at }) => {
    const words = `Version ${version} · ${created_at.slice(0, 10)}${shipped ? " · offpeak's" : ""}`;
    return [`${version}`, words] as const;
  });
  const changed = PARTS.map(([title, of]) => ({ title, before: of(from), after: of(to) })).filter(
    ({ before, after }) => before !== after,
  );
  return (
    <div className="max-w-xl">
      <div className="mb-6 grid gap-3 md:grid-cols-2">
        <Field name="From">
          {(field) => (
            <Select
              {...field}
              value={from.version}
              onChange={(event) => setUrl({ a: event.target.value, b: `${to.version}` }, { replace: true })}
              options={options}
            />
          )}
        </Field>
        <Field name="To">
          {(field) => (
            <Select
              {...field}
              value={to.version}
              onChange={(event) => setUrl({ a: `${from.version}`, b: event.target.value }, { replace: true })}
              options={options}
            />
          )}
        </Field>
      </div>
      {more && <p className="mb-4 text-ink3">Only the newest {versions.length} versions are here.</p>}
      {changed.length === 0 && <p className="text-ink2">These two are the same.</p>}
      {changed.map(({ title, before, after }) => (
        <Section key={title} title={title}>
          <Diff title={title} lines={diffLines(before, after)} />
        </Section>
      ))}
    </div>
  );
}

const LOOKS = {
  same: { sign: " ", word: "", look: "text-ink2" },
  out: { sign: "−", word: "Taken out: ", look: "bg-sunk text-bad" },
  in: { sign: "+", word: "Added: ", look: "bg-tide-wash text-ink" },
} as const;

function Diff({ title, lines }: { title: string; lines: readonly DiffLine[] }) {
  return (
    <section
      aria-label={`Changes of ${title}`}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and not everybody has a wheel
      tabIndex={0}
      className="max-h-120 overflow-y-auto rounded-md border border-line py-1 font-mono text-meta"
    >
      {lines.map(({ kind, text }, nth) => {
        const { sign, word, look } = LOOKS[kind];
        return (
          // biome-ignore lint/suspicious/noArrayIndexKey: lines have no other name
          <div key={nth} className={clsx("flex gap-2 px-2", look)}>
            <span aria-hidden="true" className="select-none whitespace-pre">
              {sign}
            </span>
            {word && <span className="sr-only">{word}</span>}
            <span className="min-w-0 whitespace-pre-wrap break-words">{text}</span>
          </div>
        );
      })}
    </section>
  );
}
