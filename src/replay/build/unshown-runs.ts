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

/**
 * Takes their facts away and writes down the letters, inside the client's transaction. The position of a place is that of
 * its newest run, which may have been one of them.
 */
export async function parkUnshown(
  client: Pick<PoolClient, 'query'>,
  schema: string,
  runs: readonly Unshown[],
  letters: readonly ParkedLetter[],
): Promise<void> {
  if (runs.length === 0) return;
  const facts = runs.map(({ run }) => run.facts);
  await client.query(`delete from ${schema}.run_facts where run_id = any($1::text[])`, [
    facts.map(({ runId }) => runId),
  ]);
  const places = [facts.map(({ workspaceId }) => workspaceId), facts.map(({ tenantId }) => tenantId)];
  const isTheirs = (table: string) =>
    `exists (select from unnest($1::text[], $2::text[]) as p(workspace_id, tenant_id)
     where p.workspace_id = ${table}.workspace_id and p.tenant_id is not distinct from ${table}.tenant_id)`;
  await client.query(`delete from ${schema}.scope_positions s where ${isTheirs('s')}`, places);
  await client.query(
    `insert into ${schema}.scope_positions (workspace_id, tenant_id, commit, prepare)
     select distinct on (workspace_id, tenant_id) workspace_id, tenant_id, commit, prepare
     from (select workspace_id, tenant_id, split_part(position, '.', 1)::numeric as commit, split_part(position, '.', 2)::numeric as prepare
           from ${schema}.run_facts f where ${isTheirs('f')}) remaining
     order by workspace_id, tenant_id, commit desc, prepare desc`,
    places,
  );
  await client.query(parkedUpsert(schema, letters)!);
}
