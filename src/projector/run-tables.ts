import {
  activeRunRow,
  runCell,
  runFilterColumns,
  runListColumns,
  runListRow,
  runSummaryCell,
  runSummaryColumns,
  runWorkspaceCell,
  runWorkspaceColumns,
  TENANT_TEXT,
} from './run-columns';
import type { CountedTable, KeyedTable } from './surface';

/*
 * The tables that more than one surface reads. What two surfaces show of the same runs is kept once, so that there are no
 * two of it to differ: each surface names the tables it reads, and the engine writes each of them once (docs/adr/0023).
 */

/** Every run. */
export const runs: KeyedTable = {
  kind: 'keyed',
  name: 'runs',
  columns: runListColumns,
  // Ordered within each pair of stored class and outcome: see `src/http/run-filter-list.ts`, which reads any page as a
  // merge of these few ranges. Status, heartbeats and deadlines stay out of the indexes.
  indexes: [
    { on: 'problem_class, outcome, queued_at desc, run_id desc' },
    { on: 'workspace_id, problem_class, outcome, queued_at desc, run_id desc' },
    { on: `workspace_id, ${TENANT_TEXT}, problem_class, outcome, queued_at desc, run_id desc` },
    // For the type that few runs have: all of them are found at once.
    { on: 'type, problem_class, outcome, queued_at desc, run_id desc' },
  ],
  row: runListRow,
};

/** What is queued or running now, and when it goes stale: which of them are stuck is the question's, not the row's. */
export const activeRuns: KeyedTable = {
  kind: 'keyed',
  name: 'active_runs',
  columns: runListColumns,
  // The one index on a moving deadline: the stuck are a range of it, found without touching the healthy. None on the
  // workspace: its active runs are few, the key finds them, and an index like the key would be taken for it by plans made
  // early.
  indexes: [{ on: 'stale_at, run_id' }],
  row: activeRunRow,
};

/** By all that a filter may ask for. */
export const runCounts: CountedTable = {
  kind: 'counted',
  name: 'run_counts',
  columns: runFilterColumns,
  cells: (run) => [runCell(run)],
};

/** For summaries of tenants and of one workspace, no bucket of which asks for the type. */
export const runSummaryCounts: CountedTable = {
  kind: 'counted',
  name: 'run_summary_counts',
  columns: runSummaryColumns,
  cells: (run) => [runSummaryCell(run)],
};

/** For readers of whole workspaces, so that they need not add up every tenant's cells. */
export const runWorkspaceCounts: CountedTable = {
  kind: 'counted',
  name: 'run_workspace_counts',
  columns: runWorkspaceColumns,
  cells: (run) => [runWorkspaceCell(run)],
};
