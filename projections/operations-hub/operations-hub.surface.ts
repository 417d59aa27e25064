import {
  runCell,
  runFilterColumns,
  runListColumns,
  runListRow,
  runWorkspaceCell,
  runWorkspaceColumns,
  TENANT_TEXT,
} from '../../src/projector/run-columns';
import type { Surface } from '../../src/projector/surface';

/** The admin plane's one collection: every run, under any filter, with its tabs counted. */
export const operationsHub: Surface = {
  name: 'operations-hub',
  tables: [
    {
      kind: 'counted',
      name: 'operations_hub_counts',
      columns: runFilterColumns,
      cells: (run) => [runCell(run)],
    },
    {
      // For readers of whole workspaces, so that they need not add up every tenant's cells.
      kind: 'counted',
      name: 'operations_hub_workspace_counts',
      columns: runWorkspaceColumns,
      cells: (run) => [runWorkspaceCell(run)],
    },
    {
      kind: 'keyed',
      name: 'operations_hub_runs',
      columns: runListColumns,
      // Ordered within each pair of stored class and outcome: see `src/http/run-filter-list.ts`, which reads any
      // filtered page as a merge of these few ranges. Status, heartbeats and deadlines stay out of the indexes.
      indexes: [
        { on: 'problem_class, outcome, queued_at desc, run_id desc' },
        { on: 'workspace_id, problem_class, outcome, queued_at desc, run_id desc' },
        { on: `workspace_id, ${TENANT_TEXT}, problem_class, outcome, queued_at desc, run_id desc` },
        // For the type that few runs have: all of them are found at once.
        { on: 'type, problem_class, outcome, queued_at desc, run_id desc' },
      ],
      row: runListRow,
    },
  ],
};
