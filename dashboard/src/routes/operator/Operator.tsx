import { useIsFetching, useQuery, useQueryClient } from "@tanstack/react-query";
import clsx from "clsx";
import { RotateCw } from "lucide-react";
import { lazy, Suspense, useState } from "react";
import { deploymentQuery, READ_EVERY_MS, signOutOperator, tenantsQuery } from "../../api/operator";
import { type OperatorSession, operatorQuery } from "../../api/session";
import { useKeys } from "../../lib/keys";
import { clockTime, ms } from "../../lib/time";
import { useUrl } from "../../lib/url";
import { AuditLog } from "../../parts/AuditLog";
import { Button } from "../../ui/Button";
import { Empty } from "../../ui/Empty";
import { PageHead } from "../../ui/Page";
import { ProblemNote } from "../../ui/ProblemNote";
import { SkeletonRows } from "../../ui/Skeleton";
import { toastProblem } from "../../ui/Toast";
import { Incidents } from "./Incidents";
import { Tenants } from "./Tenants";
import { Upstreams } from "./Upstreams";
import { clockSeconds } from "./words";

const TenantPanel = lazy(() => import("./TenantPanel").then(({ TenantPanel }) => ({ default: TenantPanel })));
const MakeTenant = lazy(() => import("./MakeTenant").then(({ MakeTenant }) => ({ default: MakeTenant })));

/** All tenants: what they share, and what of it each of them gets. Nothing comes live here, and it says so. */
export function Screen() {
  const operator = useQuery(operatorQuery);
  return (
    <div className="flex min-h-0 flex-1">
      {operator.data ? (
        <Page operator={operator.data} />
      ) : (
        <div className="flex min-w-0 flex-1 flex-col">
          <PageHead title="Operator" />
          {operator.isError ? (
            <ProblemNote error={operator.error} onRetry={() => void operator.refetch()} />
          ) : (
            operator.isSuccess && (
              <Empty title="Nobody is signed in as an operator">
                <p>
                  An operator signs in by a link that opens once. Whoever runs the server makes one with{" "}
                  <code className="whitespace-nowrap font-mono text-meta">
                    offpeak operator invite you@example.com
                  </code>
                  .
                </p>
              </Empty>
            )
          )}
        </div>
      )}
    </div>
  );
}

function Page({ operator }: { operator: OperatorSession }) {
  const [url, setUrl] = useUrl();
  const [making, setMaking] = useState(false);
  const [made, setMade] = useState<string>();
  const deployment = useQuery(deploymentQuery);
  const tenants = useQuery(tenantsQuery(url.q ?? ""));
  const close = () => setUrl({ id: undefined });
  useKeys(url.id ? { Escape: close } : {});

  return (
    <>
      <div className="flex min-w-0 flex-1 flex-col">
        <PageHead title="Operator">
          <Fresh times={[deployment.data?.as_of, tenants.data?.as_of]} />
        </PageHead>
        <div className="min-h-0 flex-1 overflow-y-auto px-4 py-4 md:px-6">
          {deployment.isError && (
            <ProblemNote error={deployment.error} onRetry={() => void deployment.refetch()} />
          )}
          {deployment.isPending && <SkeletonRows rows={4} label="Loading upstreams and incidents" />}
          {deployment.data && <Incidents deployment={deployment.data} />}
          <div
            className={clsx(
              "mt-6 grid grid-cols-[minmax(0,1fr)] gap-x-10 gap-y-6 border-line2 border-t pt-4",
              !url.id && "xl:grid-cols-[minmax(0,5fr)_minmax(0,3fr)]",
            )}
          >
            {deployment.data && (
              <div className="xl:order-last xl:pt-1">
                <Upstreams upstreams={deployment.data.upstreams} />
              </div>
            )}
            <div>
              <Tenants onMake={() => setMaking(true)} />
            </div>
          </div>
          <AuditLog log="/v1/operator/audit" title="What operators did" />
          <Who operator={operator} />
        </div>
      </div>
      <Suspense>
        {url.id && (
          <TenantPanel
            key={url.id}
            id={url.id}
            row={tenants.data?.data.find(({ id }) => id === url.id)}
            asOf={tenants.data?.as_of}
            invites={url.id === made}
            onClose={close}
          />
        )}
        {making && (
          <MakeTenant
            onMade={(id) => {
              setMade(id);
              setMaking(false);
              setUrl({ id, q: undefined });
            }}
            onClose={() => setMaking(false)}
          />
        )}
      </Suspense>
    </>
  );
}

/** How old what is shown is, by the server's clock: the older of the answers. */
function Fresh({ times }: { times: readonly (string | undefined)[] }) {
  const queries = useQueryClient();
  const reads = useIsFetching({ queryKey: ["operator"] }) > 0;
  const oldest = times.filter((time) => time !== undefined).sort((a, b) => ms(a) - ms(b))[0];
  return (
    <div className="ml-auto flex items-center gap-3">
      {oldest && (
        <p
          className="text-ink3 text-meta"
          title={`Read every ${READ_EVERY_MS / 1000} s while it is in sight`}
        >
          as of <time dateTime={oldest}>{clockSeconds(oldest)}</time>
        </p>
      )}
      <Button
        aria-busy={reads}
        onClick={() => void queries.refetchQueries({ queryKey: ["operator"], type: "active" })}
      >
        <RotateCw className="size-3.5" aria-hidden="true" /> Refresh
      </Button>
    </div>
  );
}

function Who({ operator: { name, expires_at } }: { operator: OperatorSession }) {
  const queries = useQueryClient();
  async function leave() {
    try {
      await signOutOperator(queries);
    } catch (error) {
      toastProblem("You are still signed in as an operator", error);
    }
  }
  return (
    <p className="mt-6 flex flex-wrap items-center gap-x-3 gap-y-1 border-line2 border-t pt-4 text-ink2">
      Signed in as the operator {name} until {clockTime(ms(expires_at))}.
      <Button onClick={() => void leave()}>Sign out as operator</Button>
    </p>
  );
}
