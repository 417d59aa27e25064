import { classColumns } from '../classifier/class-sql';
import type { ClassifiedRun } from '../classifier/classified-run';
import { factsJson } from '../classifier/facts-document';
import { storedRunJson } from '../classifier/run-row';
import { parsePosition } from '../events/position';
import { storableText } from '../events/storable-json';
import type { ParkedLetter } from './fold-batch';
import type { Columns, Row } from './surface';

/** Row of `run_facts`: what the engine itself remembers of a run, and what every surface that shows it shows of it. */
export function factsRow(run: ClassifiedRun): Row {
  const { facts, timeline } = run;
  const { problem_class, stale_at } = classColumns(run);
  return {
    run_id: facts.runId,
    workspace_id: facts.workspaceId,
    tenant_id: facts.tenantId,
    facts: factsJson(facts),
    run: storedRunJson(run),
    position: run.position,
    incomplete: run.incomplete,
    active: facts.status !== 'completed',
    reconcile_due_at: timeline.reconcileDueAt,
    problem_class,
    stale_at,
  };
}

/** A table as far as writing its rows goes. */
export interface EngineTable {
  readonly name: string;
  readonly columns: Columns;
}

export const FACTS: EngineTable = {
  name: 'run_facts',
  columns: {
    run_id: { type: 'text' },
    workspace_id: { type: 'text' },
    tenant_id: { type: 'text', nullable: true },
    facts: { type: 'json' },
    run: { type: 'json' },
    position: { type: 'text' },
    incomplete: { type: 'boolean' },
    active: { type: 'boolean' },
    reconcile_due_at: { type: 'timestamptz', nullable: true },
    problem_class: { type: 'text' },
    stale_at: { type: 'timestamptz', nullable: true },
  },
};

export const SCOPE_POSITIONS: EngineTable = {
  name: 'scope_positions',
  columns: {
    workspace_id: { type: 'text' },
    tenant_id: { type: 'text', nullable: true },
    commit: { type: 'numeric' },
    prepare: { type: 'numeric' },
  },
};

export const PARKED: EngineTable = {
  name: 'parked_events',
  columns: {
    stream_id: { type: 'text' },
    revision: { type: 'int' },
    event_type: { type: 'text' },
    commit: { type: 'numeric' },
    prepare: { type: 'numeric' },
    cause: { type: 'text', nullable: true },
  },
};

/** The newest position per (workspace, tenant): what a reader of that scope may know of the log's progress. */
export function scopePositionRows(runs: readonly ClassifiedRun[]): Row[] {
  const newest = new Map<string, { run: ClassifiedRun; commit: bigint; prepare: bigint }>();
  for (const run of runs) {
    const position = parsePosition(run.position)!;
    const key = JSON.stringify([run.facts.workspaceId, run.facts.tenantId]);
    const held = newest.get(key);
    if (
      !held ||
      position.commit > held.commit ||
      (position.commit === held.commit && position.prepare > held.prepare)
    )
      newest.set(key, { run, ...position });
  }
  return [...newest.values()].map(({ run, commit, prepare }) => ({
    workspace_id: run.facts.workspaceId,
    tenant_id: run.facts.tenantId,
    commit: String(commit),
    prepare: String(prepare),
  }));
}

export function letterRow({ event, cause }: ParkedLetter): Row {
  return {
    stream_id: event.streamId,
    revision: event.revision,
    // Whatever another writer has left in the log: what cannot be written down cannot be parked, and would stop all.
    event_type: storableText(event.type),
    commit: String(event.position.commit),
    prepare: String(event.position.prepare),
    cause: cause === null ? null : storableText(cause),
  };
}
