import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { invite, type Person, peopleQuery, removePerson } from "../../api/people";
import type { Scope } from "../../api/session";
import { InviteDialog } from "../../parts/InviteDialog";
import { ROLE_ORDER, ROLES } from "../../parts/rights";
import { Button } from "../../ui/Button";
import { Confirm } from "../../ui/Dialog";
import { Section } from "../../ui/Panel";
import { ProblemNote } from "../../ui/ProblemNote";
import { SkeletonText } from "../../ui/Skeleton";
import { type Cell, Table } from "../../ui/Table";
import { toast, toastProblem } from "../../ui/Toast";
import { When } from "../../ui/When";

type Asking = { what: "invite"; person?: Person } | { what: "remove"; person: Person };

/** Who signs in without a key. `mine`: what the one who is signed in may do, and so give. */
export function People({ mine }: { mine: readonly Scope[] }) {
  const read = useQuery(peopleQuery);
  const queries = useQueryClient();
  const [asking, setAsking] = useState<Asking>();
  const again = () => void queries.invalidateQueries({ queryKey: peopleQuery.queryKey });
  const close = () => setAsking(undefined);
  const roles = ROLE_ORDER.filter((role) => ROLES[role].scopes.every((scope) => mine.includes(scope)));

  return (
    <Section
      title="People"
      aside={roles.length > 0 && <Button onClick={() => setAsking({ what: "invite" })}>Invite</Button>}
    >
      {read.data ? (
        read.data.length > 0 ? (
          <Table label="People" columns={columns(setAsking)} rows={read.data} keyOf={({ id }) => id} />
        ) : (
          <p className="text-ink2">
            Nobody signs in without a key yet. Who is invited gets a link that signs them in; it needs no
            password and sends no mail.
          </p>
        )
      ) : read.isError ? (
        <ProblemNote error={read.error} onRetry={() => void read.refetch()} />
      ) : (
        <SkeletonText lines={3} label="Loading people" />
      )}
      {asking?.what === "invite" && (
        <InviteDialog
          title={asking.person ? `Another link for ${asking.person.name}` : "Invite somebody"}
          name={asking.person?.name}
          firstRole={asking.person?.role ?? roles[0] ?? "viewer"}
          roles={roles}
          invite={invite}
          onInvited={again}
          onClose={close}
        />
      )}
      {asking?.what === "remove" && (
        <Confirm
          title={`Remove ${asking.person.name}?`}
          action={`Remove ${asking.person.is_you ? "yourself" : "them"}`}
          danger
          onClose={close}
          onConfirm={() =>
            void removePerson(asking.person.id).then(
              () => {
                toast(`Removed ${asking.person.name}`);
                again();
              },
              (error: unknown) => toastProblem(`${asking.person.name} still has access`, error),
            )
          }
        >
          <p>
            They cannot sign in any more, by no link either, and what they have open ends within five seconds.
            Keys that they made stay in force.
          </p>
          {asking.person.is_you && (
            <p className="mt-2 font-semibold text-ink">This is you: you will be signed out.</p>
          )}
        </Confirm>
      )}
    </Section>
  );
}

const columns = (ask: (asking: Asking) => void): Cell<Person>[] => [
  {
    id: "name",
    title: "Name",
    cell: ({ name, is_you }) => (
      <span className="whitespace-normal break-words">
        {name}
        {is_you && <span className="ml-2 rounded-sm bg-tide-wash px-1.5 text-meta text-tide-ink">you</span>}
      </span>
    ),
  },
  {
    id: "role",
    title: "Role",
    cell: ({ role }) => <span title={ROLES[role].may}>{ROLES[role].word}</span>,
  },
  {
    id: "seen",
    title: "Last seen",
    wide: true,
    cell: ({ last_seen_at }) =>
      last_seen_at ? <When at={last_seen_at} /> : <span className="text-ink3">not yet</span>,
  },
  {
    id: "do",
    title: "",
    number: true,
    cell: (person) => (
      <div className="flex flex-col items-end py-1 md:flex-row md:justify-end md:py-0">
        <Button
          kind="ghost"
          aria-label={`Role or link for ${person.name}`}
          onClick={() => ask({ what: "invite", person })}
        >
          Role or link
        </Button>
        <Button
          kind="ghost"
          aria-label={`Remove ${person.name}`}
          onClick={() => ask({ what: "remove", person })}
        >
          Remove
        </Button>
      </div>
    ),
  },
];
