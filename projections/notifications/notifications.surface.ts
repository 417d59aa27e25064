import type { ClassifiedRun } from '../../src/classifier/classified-run';
import type { Columns, Row, Surface } from '../../src/projector/surface';

const columns = {
  workspace_id: { type: 'text' },
  tenant_id: { type: 'text', nullable: true },
  run_id: { type: 'text' },
  addressee: { type: 'text' },
  at: { type: 'timestamptz' },
} as const satisfies Columns;

/** Who started the run hears of its end; a run nobody started is its workspace's. */
function addresseeOf({ initiator, workspaceId }: ClassifiedRun['facts']): string {
  return initiator ?? `workspace:${workspaceId}`;
}

function notificationRow(run: ClassifiedRun): Row | null {
  const { facts } = run;
  if (facts.completedAt === null) return null;
  return {
    workspace_id: facts.workspaceId,
    tenant_id: facts.tenantId,
    run_id: facts.runId,
    addressee: addresseeOf(facts),
    at: facts.completedAt,
  };
}

/** One message per terminal run. It names the run and holds no words: those are the presenter's, at reading. */
export const notifications: Surface = {
  name: 'notifications',
  tables: [
    {
      kind: 'keyed',
      name: 'notifications_messages',
      columns,
      indexes: [
        { on: 'at desc, run_id desc' },
        { on: 'workspace_id, at desc, run_id desc' },
        { on: 'workspace_id, tenant_id, at desc, run_id desc' },
      ],
      row: notificationRow,
    },
  ],
};
