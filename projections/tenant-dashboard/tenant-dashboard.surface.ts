import { activeRuns, runSummaryCounts } from '../../src/projector/run-tables';
import type { Surface } from '../../src/projector/surface';

/** One tenant's figures and what needs attention there. */
export const tenantDashboard: Surface = { name: 'tenant-dashboard', tables: [activeRuns, runSummaryCounts] };
