import type { PoolClient } from 'pg';
import type { ClassifiedRun } from '../../classifier/classified-run';
import type { EventStore } from '../../event-store/event-store';
import { runIdOf, streamOf } from '../../events/operation-run-events';
import type { ParkedLetter } from '../../projector/fold-batch';
import { parkedUpsert } from '../../projector/table-writer';

/** A run that a surface cannot show, and why. */
export interface Unshown {
  readonly run: ClassifiedRun;
  readonly cause: string;
}

export function unshown(run: ClassifiedRun, error: unknown): Unshown {
  return { run, cause: String(error).slice(0, 1000) };
}

/** A run that cannot be shown is parked with all its events, as the projector parks it. */
export async function lettersOf(store: EventStore, runs: readonly Unshown[]): Promise<ParkedLetter[]> {
  if (runs.length === 0) return [];
  const streams = await store.readStreams(runs.map(({ run }) => streamOf(run.facts.runId)));
  const known = new Map(runs.map(({ run, cause }) => [run.facts.runId, { run, cause }]));
  return [...streams].flatMap(([streamId, events]) => {
    const { run, cause } = known.get(runIdOf(streamId))!;
    return events
      .filter(({ revision }) => revision < run.facts.version)
      .map((event, index) => ({ event, cause: index === 0 ? cause : null }));
  });
}

/** Takes their facts away and writes down the letters, inside the client's transaction. */
export async function parkUnshown(
  client: Pick<PoolClient, 'query'>,
  schema: string,
  runs: readonly Unshown[],
  letters: readonly ParkedLetter[],
): Promise<void> {
  if (runs.length === 0) return;
  const runIds = runs.map(({ run }) => run.facts.runId);
  await client.query(`delete from ${schema}.run_facts where run_id = any($1::text[])`, [runIds]);
  await client.query(parkedUpsert(schema, letters)!);
}
