import type { Surface } from '../../src/projector/surface';

/**
 * One run, whole: its row, its story, its neighbours by retry. It has no table of its own: what `run_facts` keeps of a run
 * for all surfaces is what this page shows.
 */
export const runDetail: Surface = { name: 'run-detail', tables: [] };
