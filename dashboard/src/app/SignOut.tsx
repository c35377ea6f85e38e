import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { sessionQuery, signOut } from "../api/session";
import { Confirm } from "../ui/Dialog";
import { toastProblem } from "../ui/Toast";

export function SignOut({ onClose }: { onClose: () => void }) {
  const queries = useQueryClient();
  const [everywhere, setEverywhere] = useState(false);
  return (
    <Confirm
      title="Sign out"
      action="Sign out"
      onClose={onClose}
      onConfirm={() =>
        void signOut(everywhere).then(
          () => queries.setQueryData(sessionQuery.queryKey, null),
          (error: unknown) => toastProblem("You are still signed in", error),
        )
      }
    >
      <label className="flex items-start gap-2">
        <input
          type="checkbox"
          className="mt-0.5 size-3.5 accent-tide"
          checked={everywhere}
          onChange={(event) => setEverywhere(event.target.checked)}
        />
        Everywhere: end every session that was begun with this API key
      </label>
    </Confirm>
  );
}
