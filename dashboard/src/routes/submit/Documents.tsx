import { FileText, Upload, X } from "lucide-react";
import { useRef, useState } from "react";
import { bytes, plural } from "../../lib/number";
import { Button } from "../../ui/Button";
import { Area, Field } from "../../ui/Form";
import { toast } from "../../ui/Toast";

export type Document = { name: string; text: string; size: number };

/** One line of an upload takes no more. */
const MAX_SIZE = 30_000_000;
const LISTED = 50;

/** The texts of these files; what is none is named, and left out. */
async function read(files: readonly File[]): Promise<Document[]> {
  const good: Document[] = [];
  const bad: string[] = [];
  for (const file of files) {
    try {
      if (file.size > MAX_SIZE) throw new RangeError("too large");
      const text = new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
      if (text.trim() === "" || text.includes("\0")) throw new TypeError("no text");
      good.push({ name: file.name, text, size: file.size });
    } catch {
      bad.push(file.name);
    }
  }
  if (bad.length > 0)
    toast(`${plural(bad.length, "file was", "files were")} left out`, {
      detail: `Only text in UTF-8 up to 30 MB can be submitted here: ${bad.slice(0, 5).join(", ")}${bad.length > 5 ? " and others" : ""}`,
      bad: true,
    });
  return good;
}

/** Text that is pasted, or files that are dropped or chosen: one job each. */
export function Documents({
  name,
  text,
  files,
  problem,
  onText,
  onFiles,
}: {
  name: string;
  text: string;
  files: readonly Document[];
  problem: string | undefined;
  onText: (text: string) => void;
  onFiles: (files: readonly Document[]) => void;
}) {
  const [over, setOver] = useState(false);
  const chooser = useRef<HTMLInputElement>(null);
  const take = (list: FileList | null) => {
    if (list?.length) void read([...list]).then((more) => more.length > 0 && onFiles([...files, ...more]));
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: a place to drop files on; the button does the same
    <div
      className={over ? "rounded-md outline-2 outline-tide outline-dashed outline-offset-4" : undefined}
      onDragOver={(event) => {
        if (!event.dataTransfer.types.includes("Files")) return;
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        if (!event.dataTransfer.types.includes("Files")) return;
        event.preventDefault();
        setOver(false);
        take(event.dataTransfer.files);
      }}
    >
      {files.length === 0 ? (
        <Field
          name={name}
          problem={problem}
          hint="Paste text, or drop text files here: one job for each file."
        >
          {(field) => (
            <Area {...field} rows={10} value={text} onChange={(event) => onText(event.target.value)} />
          )}
        </Field>
      ) : (
        <>
          <p className="text-ink2">
            {name}: {plural(files.length, "file")}, one job each
          </p>
          <ul className="mt-1 max-h-80 overflow-y-auto rounded-md border border-line">
            {files.slice(0, LISTED).map((file, nth) => (
              <li
                // biome-ignore lint/suspicious/noArrayIndexKey: two files may be the same
                key={nth}
                className="flex h-8 items-center gap-2 border-line2 border-b pl-2 last:border-0"
              >
                <FileText className="size-4 shrink-0 text-ink3" aria-hidden="true" />
                <span className="min-w-0 flex-1 truncate">{file.name}</span>
                <span className="text-ink3">{bytes(file.size)}</span>
                <Button
                  kind="ghost"
                  square
                  aria-label={`Take ${file.name} out`}
                  onClick={() => onFiles(files.filter((_, other) => other !== nth))}
                >
                  <X className="size-3.5" aria-hidden="true" />
                </Button>
              </li>
            ))}
            {files.length > LISTED && (
              <li className="px-2 py-1.5 text-ink3">and {plural(files.length - LISTED, "other")}</li>
            )}
          </ul>
        </>
      )}
      <div className="mt-2 flex gap-2">
        <input
          ref={chooser}
          type="file"
          multiple
          hidden
          aria-label="Files"
          onChange={(event) => {
            take(event.target.files);
            event.target.value = "";
          }}
        />
        <Button onClick={() => chooser.current?.click()}>
          <Upload className="size-3.5" aria-hidden="true" />
          {files.length > 0 ? "Add files" : "Choose files"}
        </Button>
        {files.length > 0 && (
          <Button kind="ghost" onClick={() => onFiles([])}>
            Take all out
          </Button>
        )}
      </div>
    </div>
  );
}
