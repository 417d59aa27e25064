import {
  runDeadline,
  runDeadlineColumns,
  runSummaryCell,
  runSummaryColumns,
} from '../../src/projector/run-columns';
import type { Surface } from '../../src/projector/surface';

/** One workspace's figures, whole and tenant by tenant. */
export const workspaceOverview: Surface = {
  name: 'workspace-overview',
  tables: [
    {
      kind: 'counted',
      name: 'workspace_overview_counts',
      columns: runSummaryColumns,
      cells: (run) => [runSummaryCell(run)],
    },
    {
      kind: 'keyed',
      name: 'workspace_overview_deadlines',
      columns: runDeadlineColumns,
      // The key begins with the workspace, and a workspace's deadlines are always read together.
      indexes: [],
      row: runDeadline,
    },
  ],
};
