import { useState } from "react";
import { getTicket, type Session, signIn } from "./app";
import { Compose } from "./Compose";
import { Connection } from "./Connection";
import { Document } from "./Document";
import { useJobs } from "./useJobs";

const named = (user: string) => user.charAt(0).toUpperCase() + user.slice(1);

export function App({ session }: { session: Session }) {
  const [{ user, users }, setSession] = useState(session);
  const { read, ...live } = useJobs(user, getTicket);
  const ready = live.jobs.filter((job) => job.state === "completed").length;
  const count = live.loaded && live.jobs.length > 0 && `${ready} of ${live.jobs.length} ready`;
  return (
    <>
      <header>
        <h1>Your summaries</h1>
        <label className="account">
          Signed in as
          <select value={user} onChange={(event) => signIn(event.target.value).then(setSession)}>
            {users.map((name) => (
              <option key={name} value={name}>
                {named(name)}
              </option>
            ))}
          </select>
        </label>
      </header>
      <main>
        <Compose />
        <section aria-labelledby="documents">
          <div className="bar">
            <h2 id="documents">Documents</h2>
            <p className="count" role="status">
              {(!live.live && live.problem) || count}
            </p>
            <Connection {...live} />
          </div>
          {live.jobs.length > 0 ? (
            <ul className="documents">
              {live.jobs.map((job) => (
                <Document key={job.id} job={job} read={read} />
              ))}
            </ul>
          ) : (
            <p className="empty">
              {live.loaded
                ? "Nothing here yet. What you queue above appears here at once, and its summary by itself."
                : "Fetching your documents …"}
            </p>
          )}
        </section>
      </main>
    </>
  );
}
