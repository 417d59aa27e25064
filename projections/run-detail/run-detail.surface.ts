import { storedRunJson } from '../../src/classifier/run-row';
import type { Columns, Surface } from '../../src/projector/surface';
import { detailJson } from './detail';

const columns = {
  workspace_id: { type: 'text' },
  tenant_id: { type: 'text', nullable: true },
  run_id: { type: 'text' },
  run: { type: 'json' },
  detail: { type: 'json' },
} as const satisfies Columns;

/** One run, whole: its row, its story, its neighbours by retry. */
export const runDetail: Surface = {
  name: 'run-detail',
  tables: [
    {
      kind: 'keyed',
      name: 'run_detail_runs',
      columns,
      // A run is asked for by its id alone; the key begins with the workspace.
      indexes: [{ on: 'run_id' }],
      row: (run) => ({
        workspace_id: run.facts.workspaceId,
        tenant_id: run.facts.tenantId,
        run_id: run.facts.runId,
        run: storedRunJson(run),
        detail: detailJson(run),
      }),
    },
  ],
};
