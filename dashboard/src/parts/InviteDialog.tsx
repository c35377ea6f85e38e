import { type FormEvent, useState } from "react";
import { type Invitation, type Invited, type Role, wholeLink } from "../api/people";
import { absolute } from "../lib/time";
import { Button } from "../ui/Button";
import { Code } from "../ui/Code";
import { Dialog } from "../ui/Dialog";
import { Field, Input, Radio } from "../ui/Form";
import { ProblemNote } from "../ui/ProblemNote";
import { ROLE_ORDER, ROLES } from "./rights";

type Props = {
  title: string;
  /** Who it is, where that stands fast: another role, or another link, for somebody who is there. */
  name?: string;
  /** The one that is proposed. */
  firstRole: Role;
  /** Those that may be given. */
  roles?: readonly Role[];
  invite: (invitation: Invitation) => Promise<Invited>;
  onInvited?: () => void;
  onClose: () => void;
};

/** Asks who, and then shows the link that signs them in: here, once, and never again. */
export function InviteDialog({ title, name: known, roles = ROLE_ORDER, invite, onInvited, ...rest }: Props) {
  const [name, setName] = useState(known ?? "");
  const [role, setRole] = useState(rest.firstRole);
  const [made, setMade] = useState<Invited>();
  const [waits, setWaits] = useState(false);
  const [error, setError] = useState<unknown>();

  async function make(event: FormEvent) {
    event.preventDefault();
    setWaits(true);
    setError(undefined);
    try {
      setMade(await invite({ name: name.trim(), role }));
      onInvited?.();
    } catch (problem) {
      setError(problem);
    } finally {
      setWaits(false);
    }
  }

  if (made)
    return (
      <Dialog title={`The link for ${name.trim()}`} onClose={rest.onClose} holds>
        <p className="mb-3 text-ink2">
          Copy it now and send it to nobody else: it is shown here once and never again. It opens once, until{" "}
          <time dateTime={made.expires_at} className="whitespace-nowrap text-ink">
            {absolute(made.expires_at)}
          </time>
          , and signs in whoever opens it.
        </p>
        <Code text={wholeLink(made.link)} what="link" wrap />
        <div className="mt-5 flex justify-end">
          <Button kind="main" onClick={rest.onClose}>
            I have copied it
          </Button>
        </div>
      </Dialog>
    );
  return (
    <Dialog title={title} onClose={rest.onClose}>
      <form onSubmit={(event) => void make(event)} className="flex flex-col gap-4">
        {known === undefined && (
          <Field name="Name" hint="How they are called, mostly by an address. It sends no mail.">
            {(field) => (
              <Input
                {...field}
                required
                maxLength={256}
                placeholder="ada@example.com"
                value={name}
                onChange={(event) => setName(event.target.value)}
              />
            )}
          </Field>
        )}
        <fieldset className="flex flex-col gap-2">
          <legend className="mb-1 text-ink2">Role</legend>
          {roles.map((one) => (
            <Radio key={one} name="role" checked={one === role} onChange={() => setRole(one)}>
              {ROLES[one].word} <span className="block text-ink3 text-meta">{ROLES[one].may}</span>
            </Radio>
          ))}
        </fieldset>
        {error !== undefined && (
          <div className="-m-4">
            <ProblemNote error={error} />
          </div>
        )}
        <div className="flex justify-end gap-2">
          <Button onClick={rest.onClose}>Back</Button>
          <Button type="submit" kind="main" disabled={waits || !name.trim()}>
            Make the link
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
