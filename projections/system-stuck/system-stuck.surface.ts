import { isActive, runListColumns, runListRow } from '../../src/projector/run-columns';
import type { Surface } from '../../src/projector/surface';

/** Active runs and their deadlines: which of them are stuck is the question's, not the row's. */
export const systemStuck: Surface = {
  name: 'system-stuck',
  tables: [
    {
      kind: 'keyed',
      name: 'system_stuck_runs',
      columns: { ...runListColumns, stale_at: { type: 'timestamptz' } },
      // The one index on a moving deadline: the stuck are a range of it, found without touching the healthy.
      indexes: [{ on: 'stale_at, run_id' }],
      row: (run) => (isActive(run) && run.timeline.staleAt !== null ? runListRow(run) : null),
    },
  ],
};
