import { runSummaryCell, runSummaryColumns } from '../../src/projector/run-columns';
import type { Surface } from '../../src/projector/surface';

/** One tenant's figures and what needs attention there. */
export const tenantDashboard: Surface = {
  name: 'tenant-dashboard',
  tables: [
    {
      kind: 'counted',
      name: 'tenant_dashboard_counts',
      columns: runSummaryColumns,
      cells: (run) => [runSummaryCell(run)],
    },
  ],
};
