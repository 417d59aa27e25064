import { classColumns } from '../classifier/class-sql';
import type { ClassifiedRun } from '../classifier/classified-run';
import type { FactsDocument } from '../classifier/facts-document';
import type { RunDocument } from '../classifier/run-row';
import type { RunFacts } from '../domain/run-facts';
import type { Columns, Row } from './surface';

/** The columns of one run that filters speak about; every list and every count is made of them. */
export const runFilterColumns = {
  workspace_id: { type: 'text' },
  tenant_id: { type: 'text', nullable: true },
  type: { type: 'text' },
  status: { type: 'text' },
  outcome: { type: 'text' },
  problem_class: { type: 'text' },
  resolution: { type: 'text' },
  lineage: { type: 'text' },
} as const satisfies Columns;

/** How indexes and filters name a run's tenant, tenantless runs included: `is null` would not keep an index's order. */
export const TENANT_TEXT = "coalesce(tenant_id, '')";

/** What summaries count by: every bucket is a sum over these cells. Without `type`, which no bucket asks for. */
export const runSummaryColumns = {
  workspace_id: { type: 'text' },
  tenant_id: { type: 'text', nullable: true },
  status: { type: 'text' },
  outcome: { type: 'text' },
  problem_class: { type: 'text' },
  resolution: { type: 'text' },
  lineage: { type: 'text' },
} as const satisfies Columns;

/** Counts of whole workspaces: however many tenants there are, the platform is added up from few cells. */
export const runWorkspaceColumns = {
  workspace_id: { type: 'text' },
  type: { type: 'text' },
  status: { type: 'text' },
  outcome: { type: 'text' },
  problem_class: { type: 'text' },
  resolution: { type: 'text' },
  lineage: { type: 'text' },
} as const satisfies Columns;

/** A list of runs: what it filters and sorts by. What is shown of them is kept once for all lists, in `run_facts`. */
export const runListColumns = {
  ...runFilterColumns,
  run_id: { type: 'text' },
  stale_at: { type: 'timestamptz', nullable: true },
  queued_at: { type: 'timestamptz' },
} as const satisfies Columns;

/** The same columns as Kysely sees them. */
export interface RunFilterTable {
  workspace_id: string;
  tenant_id: string | null;
  type: string;
  status: string;
  outcome: string;
  /** The class up to and including `stale_at`; only `class-sql` may read it as a class. */
  problem_class: string;
  resolution: string;
  lineage: string;
}

export interface RunListTable extends RunFilterTable {
  run_id: string;
  stale_at: string | null;
  queued_at: string;
}

/** The engine's own table, of which a surface may read what is shown of a run, by its id and within the reader's scope. */
export interface RunFactsTable {
  workspace_id: string;
  tenant_id: string | null;
  run_id: string;
  run: RunDocument;
  facts: FactsDocument;
  position: string;
}

export interface RunCountTable extends RunFilterTable {
  n: number;
}

export interface RunSummaryTable extends Omit<RunFilterTable, 'type'> {
  n: number;
}

export interface RunWorkspaceTable extends Omit<RunFilterTable, 'tenant_id'> {
  n: number;
}

// The rows below are written out and not spread from one another: V8 makes a hash table of an object that is copied
// and then grows, which takes a hundred times as long, and rows are what the projector makes most of.

export function runCell(run: ClassifiedRun): Row {
  const { facts } = run;
  return {
    workspace_id: facts.workspaceId,
    tenant_id: facts.tenantId,
    type: facts.type,
    status: facts.status,
    outcome: facts.outcome,
    problem_class: classColumns(run).problem_class,
    resolution: facts.resolution,
    lineage: lineageColumn(facts),
  };
}

export function runSummaryCell(run: ClassifiedRun): Row {
  const { facts } = run;
  return {
    workspace_id: facts.workspaceId,
    tenant_id: facts.tenantId,
    status: facts.status,
    outcome: facts.outcome,
    problem_class: classColumns(run).problem_class,
    resolution: facts.resolution,
    lineage: lineageColumn(facts),
  };
}

export function runWorkspaceCell(run: ClassifiedRun): Row {
  const { facts } = run;
  return {
    workspace_id: facts.workspaceId,
    type: facts.type,
    status: facts.status,
    outcome: facts.outcome,
    problem_class: classColumns(run).problem_class,
    resolution: facts.resolution,
    lineage: lineageColumn(facts),
  };
}

function lineageColumn({ evidence }: RunFacts): string {
  return evidence ? 'reconciled_stale' : 'none';
}

/** Null for a run that has ended. */
export function activeRunRow(run: ClassifiedRun): Row | null {
  return run.facts.status === 'completed' ? null : runListRow(run);
}

export function runListRow(run: ClassifiedRun): Row {
  const { facts } = run;
  const { problem_class, stale_at } = classColumns(run);
  return {
    workspace_id: facts.workspaceId,
    tenant_id: facts.tenantId,
    type: facts.type,
    status: facts.status,
    outcome: facts.outcome,
    problem_class,
    resolution: facts.resolution,
    lineage: lineageColumn(facts),
    run_id: facts.runId,
    stale_at,
    queued_at: facts.queuedAt,
  };
}
