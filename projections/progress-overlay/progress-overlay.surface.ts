import { activeRuns } from '../../src/projector/run-tables';
import type { Surface } from '../../src/projector/surface';

/** What is queued or running now. A run leaves with its completion. */
export const progressOverlay: Surface = { name: 'progress-overlay', tables: [activeRuns] };
