import { Code } from "../ui/Code";

/** More than this is not laid out: the whole is copied or saved instead. */
const SHOWN = 200_000;

/** What was asked or answered, always as text nodes: nothing in it can run or load. */
export function LongText({
  text,
  laidOut = text,
  what,
  mono = false,
  save,
}: {
  /** What is copied and saved. */
  text: string;
  /** The same for the eye. */
  laidOut?: string;
  what: string;
  mono?: boolean;
  save?: string;
}) {
  const cut = laidOut.length > SHOWN;
  return (
    <div>
      <Code text={text} what={what} shown={cut ? laidOut.slice(0, SHOWN) : laidOut} prose={!mono} wrap />
      {cut && (
        <p className="mt-2 text-ink3 text-meta">Only its beginning is shown. Copy it to have all of it.</p>
      )}
      {save && (
        <button
          type="button"
          className="mt-2 break-all text-left text-tide-ink underline"
          onClick={() => saveAs(save, text)}
        >
          Save as {save}
        </button>
      )}
    </div>
  );
}

function saveAs(name: string, text: string) {
  const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  URL.revokeObjectURL(url);
}
