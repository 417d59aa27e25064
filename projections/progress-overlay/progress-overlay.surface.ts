import { isActive, runListColumns, runListRow } from '../../src/projector/run-columns';
import type { Surface } from '../../src/projector/surface';

/** What is queued or running now. A run leaves with its completion. */
export const progressOverlay: Surface = {
  name: 'progress-overlay',
  tables: [
    {
      kind: 'keyed',
      name: 'progress_overlay_runs',
      columns: runListColumns,
      // A workspace's active runs are few, and all of them are counted anyway: the key finds them.
      indexes: [],
      row: (run) => (isActive(run) ? runListRow(run) : null),
    },
  ],
};
