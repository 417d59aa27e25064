import { runListColumns, runListRow, TENANT_TEXT } from '../../src/projector/run-columns';
import type { Surface } from '../../src/projector/surface';

/** The newest runs of a tenant or a workspace. */
export const recentOperations: Surface = {
  name: 'recent-operations',
  tables: [
    {
      kind: 'keyed',
      name: 'recent_operations_runs',
      columns: runListColumns,
      // Nothing that changes in a run's life is indexed, so every update of a row stays in its page.
      indexes: [
        { on: 'workspace_id, queued_at desc, run_id desc' },
        { on: `workspace_id, ${TENANT_TEXT}, queued_at desc, run_id desc` },
      ],
      row: runListRow,
    },
  ],
};
