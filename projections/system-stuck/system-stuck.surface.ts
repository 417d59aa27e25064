import { activeRuns } from '../../src/projector/run-tables';
import type { Surface } from '../../src/projector/surface';

/** The active runs that are past their deadline at the instant of the question. */
export const systemStuck: Surface = { name: 'system-stuck', tables: [activeRuns] };
