import { runSummaryCell, runSummaryColumns } from '../../src/projector/run-columns';
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
  ],
};
