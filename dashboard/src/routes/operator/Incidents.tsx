import { useQueryClient } from "@tanstack/react-query";
import { TriangleAlert } from "lucide-react";
import { useState } from "react";
import { type Deployment, type OperatorIncident, resolveIncident } from "../../api/operator";
import { compareDollars, exactMoney } from "../../lib/money";
import { count } from "../../lib/number";
import { Button } from "../../ui/Button";
import { CopyId } from "../../ui/Copy";
import { Confirm } from "../../ui/Dialog";
import { words } from "../../ui/Glyph";
import { Go } from "../../ui/Go";
import { Section } from "../../ui/Panel";
import { toast, toastProblem } from "../../ui/Toast";
import { When } from "../../ui/When";

/** What nobody has dealt with: what it means, what it cost, and a way to say that it is dealt with. */
export function Incidents({ deployment: { incidents, open_incidents } }: { deployment: Deployment }) {
  const queries = useQueryClient();
  const [resolving, setResolving] = useState<OperatorIncident>();
  return (
    <Section title={open_incidents > 0 ? `Open incidents (${count(open_incidents)})` : "Open incidents"}>
      {incidents.length === 0 ? (
        <p className="text-ink2">None: everything that was seen is dealt with.</p>
      ) : (
        <ul className="rounded-lg border border-line bg-raised">
          {incidents.map((incident) => (
            <Incident key={incident.id} incident={incident} onResolve={() => setResolving(incident)} />
          ))}
        </ul>
      )}
      {open_incidents > incidents.length && (
        <p className="mt-2 text-ink3 text-meta">
          The newest {count(incidents.length)} are here; <code className="font-mono">offpeak incidents</code>{" "}
          lists them all.
        </p>
      )}
      {resolving && (
        <Confirm
          title="Is it dealt with?"
          action="Resolve"
          onClose={() => setResolving(undefined)}
          onConfirm={() =>
            void resolveIncident(resolving.id).then(
              () => {
                toast("Resolved");
                void queries.invalidateQueries({ queryKey: ["operator", "overview"] });
              },
              (error: unknown) => toastProblem("It is still open", error),
            )
          }
        >
          <p className="text-ink">{resolving.detail}</p>
          <p className="mt-2">
            It is not shown as open any more, to nobody. That changes nothing else: if the cause is still
            there, it comes back.
          </p>
        </Confirm>
      )}
    </Section>
  );
}

function Incident({ incident, onResolve }: { incident: OperatorIncident; onResolve: () => void }) {
  const { id, kind, at, detail, meaning, absorbed, tenant, tenant_name, upstream_batch } = incident;
  return (
    <li className="flex gap-3 border-line2 border-b px-4 py-3 last:border-0">
      <TriangleAlert className="mt-px size-4 shrink-0 text-bad" aria-hidden="true" />
      <div className="min-w-0 flex-1">
        <p className="font-semibold first-letter:uppercase">{words(kind)}</p>
        <p className="break-words">{detail}</p>
        {meaning && <p className="mt-0.5 max-w-lg text-ink2">{meaning}</p>}
        <p className="mt-1 flex flex-wrap items-baseline gap-x-3 gap-y-1 text-ink3 text-meta">
          <When at={at} />
          {tenant && (
            <Go to="/operator" search={{ id: tenant }}>
              {tenant_name ?? tenant}
            </Go>
          )}
          {compareDollars(absorbed, "0") !== 0 && (
            <span className="text-warn">cost {exactMoney(absorbed)} beyond what tenants pay</span>
          )}
          {upstream_batch && <CopyId id={upstream_batch} what="batch's id at Anthropic" />}
          <CopyId id={id} what="incident id" />
        </p>
      </div>
      <Button aria-label={`Resolve ${words(kind)}: ${detail}`} onClick={onResolve}>
        Resolve
      </Button>
    </li>
  );
}
