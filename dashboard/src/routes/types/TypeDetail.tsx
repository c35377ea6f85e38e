import { useQuery } from "@tanstack/react-query";
import { versionsQuery } from "../../api/jobTypes";
import { useMay } from "../../api/session";
import { useUrl } from "../../lib/url";
import { ProblemNote } from "../../ui/ProblemNote";
import { SkeletonText } from "../../ui/Skeleton";
import { Tabs } from "../../ui/Tabs";
import { Definition } from "./Definition";
import { Editor } from "./Editor";
import { TestRun } from "./TestRun";
import { Versions } from "./Versions";

export function TypeDetail({ name }: { name: string }) {
  const [url, setUrl] = useUrl();
  const read = useQuery(versionsQuery(name));
  const [submits, manages] = [useMay("jobs:write"), useMay("settings:manage")];
  if (read.isPending) return <SkeletonText lines={8} label="Loading the job type" />;
  if (!read.data) return <ProblemNote error={read.error} onRetry={() => void read.refetch()} />;
  const { versions, more } = read.data;
  const newest = versions[0];
  if (!newest) return <p className="text-ink2">No version of it is stored.</p>;
  const shown = versions.find(({ version }) => String(version) === url.version) ?? newest;
  return (
    <Tabs
      label={name}
      current={url.view ?? "definition"}
      onChange={(view) => setUrl({ view: view === "definition" ? undefined : view, job: undefined })}
      tabs={[
        {
          id: "definition",
          title: "Definition",
          body: (
            <Definition
              type={shown}
              versions={versions}
              onVersion={(version) =>
                setUrl({ version: version === newest.version ? undefined : `${version}` })
              }
            />
          ),
        },
        {
          id: "versions",
          title: `Versions (${versions.length}${more ? "+" : ""})`,
          body: <Versions versions={versions} more={more} />,
        },
        ...(submits
          ? [{ id: "test", title: "Test run", body: <TestRun key={newest.version} type={newest} /> }]
          : []),
        ...(manages
          ? [
              {
                id: "edit",
                title: "New version",
                body: (
                  <Editor
                    key={newest.version}
                    base={newest}
                    onStored={() => setUrl({ view: undefined, version: undefined })}
                  />
                ),
              },
            ]
          : []),
      ]}
    />
  );
}
