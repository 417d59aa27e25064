import { runListColumns, runListRow } from '../../src/projector/run-columns';
import type { ClassifiedRun } from '../../src/classifier/classified-run';
import type { Columns, Row, Surface } from '../../src/projector/surface';

const columns = { ...runListColumns, completed_at: { type: 'timestamptz' } } as const satisfies Columns;

function failureRow(run: ClassifiedRun): Row | null {
  const { outcome, evidence, completedAt } = run.facts;
  if (outcome !== 'failed' && !evidence) return null;
  return { ...runListRow(run), completed_at: completedAt };
}

/** Runs that failed, or that were failed for them after going stale: the reconciled ones keep their lineage here. */
export const systemFailures: Surface = {
  name: 'system-failures',
  tables: [
    {
      kind: 'keyed',
      name: 'system_failures_runs',
      columns,
      indexes: [{ on: 'completed_at desc, run_id desc' }],
      row: failureRow,
    },
  ],
};
