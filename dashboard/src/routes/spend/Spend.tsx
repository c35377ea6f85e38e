import { Download } from "lucide-react";
import { USAGE_PARTS, usageCsv } from "../../api/usage";
import { useUrl } from "../../lib/url";
import { Input, Select } from "../../ui/Form";
import { PageHead } from "../../ui/Page";
import { Tabs } from "../../ui/Tabs";
import { Budgets } from "./Budgets";
import { isDay, readSpan, SPANS } from "./span";
import { Usage } from "./Usage";

const WORDS = { model: "by model", type: "by job type", user: "by user", lane: "by lane" } as const;

export function Screen() {
  const [url, setUrl] = useUrl();
  const span = readSpan(url, Date.now());

  return (
    <div className="flex min-h-0 flex-1 flex-col">
      <PageHead title="Spend" />
      <div className="min-h-0 flex-1 overflow-y-auto">
        <div className="px-4 pt-2 md:px-6">
          <Tabs
            label="Spend"
            current={url.view ?? "usage"}
            onChange={(view) => setUrl({ view: view === "budgets" ? view : undefined })}
            tabs={[
              {
                id: "usage",
                title: "Usage",
                body: (
                  <>
                    <SpanBar />
                    <Usage span={span} />
                  </>
                ),
              },
              { id: "budgets", title: "Budgets", body: <Budgets /> },
            ]}
          />
        </div>
      </div>
    </div>
  );
}

function SpanBar() {
  const [url, setUrl] = useUrl();
  const span = readSpan(url, Date.now());
  const own = (change: { from?: string; to?: string }) => {
    const { from, to } = { ...span, ...change };
    if (isDay(from) && isDay(to) && from <= to) setUrl({ from, to, days: undefined }, { replace: true });
  };
  return (
    <div className="flex flex-wrap items-center gap-2">
      <Select
        aria-label="Days"
        className="!w-auto"
        value={span.days ?? ""}
        onChange={(event) => {
          const days = event.target.value;
          if (days) setUrl({ days: days === "30" ? undefined : days, from: undefined, to: undefined });
        }}
        options={[
          ...SPANS.map((days) => [days, `Last ${days} days`] as const),
          ...(span.days ? [] : [["", "Own days"] as const]),
        ]}
      />
      <Input
        key={`from ${span.from}`}
        type="date"
        aria-label="From"
        className="!w-auto"
        max={span.to}
        defaultValue={span.from}
        onChange={(event) => own({ from: event.target.value })}
      />
      <Input
        key={`to ${span.to}`}
        type="date"
        aria-label="To, included"
        className="!w-auto"
        min={span.from}
        defaultValue={span.to}
        onChange={(event) => own({ to: event.target.value })}
      />
      <Select
        aria-label="Split"
        className="!w-auto"
        value={span.part ?? ""}
        onChange={(event) => setUrl({ by: event.target.value || undefined })}
        options={[["", "Paid and saved"], ...USAGE_PARTS.map((part) => [part, WORDS[part]] as const)]}
      />
      <a
        href={usageCsv(span)}
        download={`usage-${span.from}-${span.to}.csv`}
        className="inline-flex h-7 items-center gap-1.5 rounded-md border border-line bg-raised px-2.5 hover:border-ink3 md:ml-auto"
      >
        <Download className="size-3.5" aria-hidden="true" /> CSV
      </a>
    </div>
  );
}
