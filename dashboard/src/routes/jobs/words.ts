import type { Action } from "../../api/jobs";

/** `3 jobs …`. */
export const doneWord = (action: Action) => (action === "cancel" ? "canceled" : "queued again");
