import { useState } from "react";
import { inviteTo, type TenantRow } from "../../api/operator";
import { count } from "../../lib/number";
import { ms, short } from "../../lib/time";
import { InviteDialog } from "../../parts/InviteDialog";
import { Button } from "../../ui/Button";
import { CopyId } from "../../ui/Copy";
import { Fact, Facts, Panel, Section } from "../../ui/Panel";
import { Moment } from "../../ui/When";
import { LookDialog } from "./LookDialog";
import { Shares } from "./Shares";
import { TenantLimits } from "./TenantLimits";
import { TenantSpend } from "./TenantSpend";
import { Weight } from "./Weight";

/** One tenant: how it stands, what it was billed, and what an operator does for it. `row`: if it is among those
 *  that are listed. */
export function TenantPanel({
  id,
  row,
  asOf,
  invites,
  onClose,
}: {
  id: string;
  row: TenantRow | undefined;
  asOf: string | undefined;
  /** Right after it was made: its first admin comes next. */
  invites: boolean;
  onClose: () => void;
}) {
  const [asking, setAsking] = useState<"invite" | "look" | undefined>(invites ? "invite" : undefined);
  const name = row?.name ?? id;
  const close = () => setAsking(undefined);
  return (
    <Panel label="Tenant" title={row?.name ?? "Tenant"} onClose={onClose}>
      <div className="flex flex-wrap gap-2">
        <Button onClick={() => setAsking("invite")}>Invite somebody</Button>
        <Button onClick={() => setAsking("look")}>Look inside</Button>
      </div>
      <Section title="How it stands">
        <Facts>
          <Fact name="Tenant">
            <CopyId id={id} what="tenant id" />
          </Fact>
          {row && asOf && (
            <>
              <Fact name="Made">
                <Moment at={row.created_at} />
              </Fact>
              <Fact name="Waiting">
                {count(row.queued)}
                {row.waiting_since && (
                  <span className="text-ink3">
                    , the oldest for {short(ms(asOf) - ms(row.waiting_since))}
                  </span>
                )}
              </Fact>
              <Fact name="At Anthropic">{count(row.submitted)}</Fact>
              <Fact name="Being read">{count(row.processing)}</Fact>
              <Fact name="Last hour">
                <Shares row={row} />
              </Fact>
              <Fact name="Weight">
                <span className="-my-1.5 -ml-2.5 inline-block align-middle">
                  <Weight row={row} />
                </span>
              </Fact>
            </>
          )}
        </Facts>
        {!row && (
          <p className="mt-2 text-ink2">
            It is not among those that are listed. Search for a part of its name.
          </p>
        )}
      </Section>
      <Section title="Limits">
        <TenantLimits id={id} name={name} />
      </Section>
      <Section title="Spend">
        <TenantSpend id={id} />
      </Section>
      {asking === "invite" && (
        <InviteDialog
          title={invites ? `Invite the first admin of ${name}` : `Invite somebody to ${name}`}
          firstRole="admin"
          invite={(invitation) => inviteTo(id, invitation)}
          onClose={close}
        />
      )}
      {asking === "look" && <LookDialog id={id} name={name} onClose={close} />}
    </Panel>
  );
}
