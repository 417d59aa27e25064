import { activeRuns, runSummaryCounts } from '../../src/projector/run-tables';
import type { Surface } from '../../src/projector/surface';

/** One workspace's figures, whole and tenant by tenant. */
export const workspaceOverview: Surface = {
  name: 'workspace-overview',
  tables: [activeRuns, runSummaryCounts],
};
