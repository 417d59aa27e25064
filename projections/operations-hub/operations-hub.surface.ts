import { runs, activeRuns, runCounts, runWorkspaceCounts } from '../../src/projector/run-tables';
import type { Surface } from '../../src/projector/surface';

/** The admin plane's one collection: every run, under any filter, with its tabs counted. */
export const operationsHub: Surface = {
  name: 'operations-hub',
  tables: [runs, activeRuns, runCounts, runWorkspaceCounts],
};
