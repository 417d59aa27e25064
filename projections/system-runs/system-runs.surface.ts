import {
  runListColumns,
  runListRow,
  runWorkspaceCell,
  runWorkspaceColumns,
} from '../../src/projector/run-columns';
import type { Surface } from '../../src/projector/surface';

/** The platform's figures, workspace by workspace, and every run of it. */
export const systemRuns: Surface = {
  name: 'system-runs',
  tables: [
    {
      kind: 'counted',
      name: 'system_runs_counts',
      // No tenants: this plane's readers see all of them, and a summary names workspaces only.
      columns: runWorkspaceColumns,
      cells: (run) => [runWorkspaceCell(run)],
    },
    {
      kind: 'keyed',
      name: 'system_runs_runs',
      columns: runListColumns,
      // Read as `operations_hub_runs` is. A tenant's runs are found within its workspace.
      indexes: [
        { on: 'problem_class, outcome, queued_at desc, run_id desc' },
        { on: 'workspace_id, problem_class, outcome, queued_at desc, run_id desc' },
      ],
      row: runListRow,
    },
  ],
};
