import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import {
  type Budget,
  type BudgetUse,
  budgetsQuery,
  type EstimateError,
  removeBudget,
} from "../../api/budgets";
import { useMay } from "../../api/session";
import { addDollars, compareDollars, decimalsFor, dollarsForScale, exactMoney } from "../../lib/money";
import { count } from "../../lib/number";
import { useUsageChange } from "../../live/useUsageChange";
import { Button } from "../../ui/Button";
import { Cost } from "../../ui/Cost";
import { Confirm } from "../../ui/Dialog";
import { Empty } from "../../ui/Empty";
import { Section } from "../../ui/Panel";
import { ProblemNote } from "../../ui/ProblemNote";
import { SkeletonText } from "../../ui/Skeleton";
import { type Cell, Table } from "../../ui/Table";
import { toast, toastProblem } from "../../ui/Toast";
import { When } from "../../ui/When";
import { BudgetForm } from "./BudgetForm";

type Asking = { what: "set"; budget?: Budget } | { what: "remove"; budget: Budget };

export function Budgets() {
  const read = useQuery(budgetsQuery);
  const queries = useQueryClient();
  const [asking, setAsking] = useState<Asking>();
  const manages = useMay("settings:manage");
  useUsageChange(() => void read.refetch());
  const again = () => void queries.invalidateQueries({ queryKey: budgetsQuery.queryKey });
  const close = () => setAsking(undefined);

  let content: ReactNode;
  if (read.isPending) content = <SkeletonText lines={6} label="Loading budgets" />;
  else if (!read.data) content = <ProblemNote error={read.error} onRetry={() => void read.refetch()} />;
  else {
    const { budgets, estimates } = read.data;
    content = (
      <>
        {budgets.length === 0 ? (
          <Empty title="No budgets">
            <p>
              Nothing limits what is spent. A hard budget refuses jobs that would exceed it; a soft one only
              tells, by an event.
            </p>
            {manages && (
              <Button kind="main" onClick={() => setAsking({ what: "set" })}>
                Set a budget
              </Button>
            )}
          </Empty>
        ) : (
          <Section
            title="Budgets"
            aside={manages && <Button onClick={() => setAsking({ what: "set" })}>Set a budget</Button>}
          >
            <ul>
              {budgets.map((budget) => (
                <OneBudget key={budget.id} budget={budget} onAsk={manages ? setAsking : undefined} />
              ))}
            </ul>
          </Section>
        )}
        <Section title="How far estimates were off">
          <Estimates estimates={estimates} />
        </Section>
      </>
    );
  }
  return (
    <div className="max-w-xl py-1">
      {content}
      {asking?.what === "set" && (
        <BudgetForm
          budget={asking.budget}
          onClose={close}
          onSet={() => {
            close();
            again();
          }}
        />
      )}
      {asking?.what === "remove" && (
        <Confirm
          title="Remove the budget?"
          action="Remove the budget"
          danger
          onClose={close}
          onConfirm={() =>
            void removeBudget(asking.budget.id).then(
              () => {
                toast(`Removed the budget ${scopeWords(asking.budget)}`);
                again();
              },
              (error: unknown) => toastProblem("The budget is still there", error),
            )
          }
        >
          <p>
            The budget {scopeWords(asking.budget)}, {exactMoney(asking.budget.limit)} a {asking.budget.period}
            , no longer holds. What it has counted is forgotten: one that is set again counts from then on.
          </p>
        </Confirm>
      )}
    </div>
  );
}

/** Whose it is, after `the budget`. */
export function scopeWords({ scope, name }: Pick<Budget, "scope" | "name">): string {
  if (scope === "tenant") return "of everything";
  const what = scope === "user" ? "user" : "job type";
  return name ? `of ${what} ${name}` : `of each ${what}`;
}

/** Without `onAsk` it cannot be changed. */
function OneBudget({ budget, onAsk }: { budget: Budget; onAsk?: (asking: Asking) => void }) {
  const words = scopeWords(budget).replace("of ", "");
  const title = words.charAt(0).toUpperCase() + words.slice(1);
  const decimals = Math.max(decimalsFor([budget.limit]), decimalsFor(budget.uses.map(used)));
  return (
    <li className="border-line2 border-b py-3 last:border-0">
      <div className="flex flex-wrap items-center gap-x-3 gap-y-1">
        <h3 className="min-w-0 break-words font-semibold">{title}</h3>
        <p className="text-ink2">
          {exactMoney(budget.limit)} a {budget.period} ·{" "}
          {budget.hard ? "hard: refuses what would exceed it" : "soft: only tells"} · renews{" "}
          <When at={budget.renews_at} />
        </p>
        {onAsk && (
          <span className="ml-auto flex gap-1">
            <Button
              kind="ghost"
              onClick={() => onAsk({ what: "set", budget })}
              aria-label={`Change ${title}`}
            >
              Change
            </Button>
            <Button
              kind="ghost"
              onClick={() => onAsk({ what: "remove", budget })}
              aria-label={`Remove ${title}`}
            >
              Remove
            </Button>
          </span>
        )}
      </div>
      {budget.uses.length === 0 ? (
        <p className="mt-1 text-ink3">Nothing was counted yet in this {budget.period}.</p>
      ) : (
        <ul className="mt-1 flex flex-col gap-2">
          {budget.uses.map((use) => (
            <Use key={use.name ?? ""} use={use} limit={budget.limit} decimals={decimals} />
          ))}
        </ul>
      )}
    </li>
  );
}

const used = (use: BudgetUse) => addDollars(use.spent, use.reserved);

function Use({ use, limit, decimals }: { use: BudgetUse; limit: string; decimals: number }) {
  const over = compareDollars(used(use), limit) > 0;
  return (
    <li>
      <div className="flex flex-wrap justify-between gap-x-4">
        <span className="min-w-0 break-words">
          {use.name && <strong className="mr-2 font-semibold">{use.name}</strong>}
          <Cost amount={use.spent} decimals={decimals} /> spent
          {compareDollars(use.reserved, "0") > 0 && (
            <span className="text-ink2">
              {" "}
              + <Cost amount={use.reserved} decimals={decimals} /> expected of open jobs
            </span>
          )}
        </span>
        <span className={over ? "font-semibold text-bad" : "text-ink2"}>
          {over && "Exceeded · "}
          <Cost amount={use.left} decimals={decimals} /> left
          {use.warned_at && (
            <span className="text-warn">
              {" · told "}
              <When at={use.warned_at} />
            </span>
          )}
        </span>
      </div>
      <Bar spent={use.spent} reserved={use.reserved} limit={limit} over={over} />
    </li>
  );
}

/** What is spent, and lighter behind it what open jobs may cost. Its words stand above it. */
function Bar({
  spent,
  reserved,
  limit,
  over,
}: {
  spent: string;
  reserved: string;
  limit: string;
  over: boolean;
}) {
  const all = dollarsForScale(limit);
  const part = (amount: string) => (all > 0 ? Math.min(100, (100 * dollarsForScale(amount)) / all) : 100);
  const done = part(spent);
  return (
    <svg
      viewBox="0 0 100 1"
      preserveAspectRatio="none"
      className="mt-1 h-1.5 w-full rounded-sm"
      aria-hidden="true"
    >
      <rect width="100" height="1" className="fill-sunk" />
      <rect width={part(addDollars(spent, reserved))} height="1" className="fill-tide-soft" />
      <rect width={done} height="1" className={over ? "fill-bad" : "fill-tide"} />
    </svg>
  );
}

const COLUMNS = (decimals: number): Cell<EstimateError>[] => [
  { id: "type", title: "Job type", cell: ({ type }) => type ?? "own params" },
  { id: "model", title: "Model", cell: ({ model }) => model },
  { id: "jobs", title: "Jobs", number: true, cell: ({ jobs }) => count(jobs) },
  {
    id: "estimated",
    title: "Estimated",
    number: true,
    cell: ({ estimated }) => <Cost amount={estimated} decimals={decimals} />,
  },
  {
    id: "settled",
    title: "Cost",
    number: true,
    cell: ({ settled }) => <Cost amount={settled} decimals={decimals} />,
  },
  {
    id: "off",
    title: "Off by",
    number: true,
    cell: ({ deviation_percent: off }) =>
      off == null ? (
        <span className="text-ink3">cost nothing</span>
      ) : (
        `${off.startsWith("-") ? off.replace("-", "−") : Number(off) > 0 ? `+${off}` : off} %`
      ),
  },
  { id: "correction", title: "Next one ×", number: true, cell: ({ correction }) => correction },
];

function Estimates({ estimates }: { estimates: readonly EstimateError[] }) {
  if (estimates.length === 0)
    return (
      <p className="text-ink2">
        Nothing was measured yet: while there is a budget, each job that ends tells how good its estimate was.
      </p>
    );
  return (
    <Table
      label="How far estimates were off"
      columns={COLUMNS(decimalsFor(estimates.map(({ settled }) => settled)))}
      rows={estimates}
      keyOf={({ type, model }) => `${type} ${model}`}
    />
  );
}
