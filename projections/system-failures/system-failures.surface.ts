import { runListColumns, runListRow } from '../../src/projector/run-columns';
import type { Surface } from '../../src/projector/surface';

/** Runs that failed, or that were failed for them after going stale: the reconciled ones keep their lineage here. */
export const systemFailures: Surface = {
  name: 'system-failures',
  tables: [
    {
      kind: 'keyed',
      name: 'system_failures_runs',
      columns: { ...runListColumns, completed_at: { type: 'timestamptz' } },
      indexes: [{ on: 'completed_at desc, run_id desc' }],
      row: (run) => (run.facts.outcome === 'failed' || run.facts.evidence ? runListRow(run) : null),
    },
  ],
};
