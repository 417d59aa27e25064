import { runs, activeRuns, runWorkspaceCounts } from '../../src/projector/run-tables';
import type { Surface } from '../../src/projector/surface';

/** The platform's figures, workspace by workspace, and every run of it. */
export const systemRuns: Surface = { name: 'system-runs', tables: [runs, activeRuns, runWorkspaceCounts] };
