import { runs, runCounts } from '../../src/projector/run-tables';
import type { Surface } from '../../src/projector/surface';

/** The newest runs of a tenant or a workspace. */
export const recentOperations: Surface = { name: 'recent-operations', tables: [runs, runCounts] };
