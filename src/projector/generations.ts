import { DatabaseError } from 'pg';
import type { Pool, PoolClient } from 'pg';
import { transaction } from '../db/transaction';
import { canonicalInstant } from '../events/instant';
import { formatPosition } from '../events/position';
import type { Position } from '../events/position';
import { indexesSql, runFactsIndexesSql, surfacesDigest, tablesSql } from './generation-schema';
import type { Surface } from './surface';

export type GenerationState = 'building' | 'ready' | 'live' | 'standby' | 'retired' | 'failed';

/** One schema with every read table, true at one checkpoint, classified by one classifier and one policy. */
export interface Generation {
  readonly id: number;
  readonly schema: string;
  readonly state: GenerationState;
  readonly classifierVersion: number;
  readonly policyVersion: number;
  readonly surfacesDigest: string;
  readonly logIdentity: string;
  readonly checkpoint: Position;
  readonly epoch: bigint;
  readonly eventsApplied: number;
  readonly checkpointAt: Date | null;
  readonly failure: string | null;
  /** `first`: projected from the beginning. `full`: rebuilt from the log. `facts`: reclassified from another's facts. */
  readonly madeBy: 'first' | 'full' | 'facts';
  readonly madeFrom: number | null;
  /** Where a historical generation ends, by source time or by position; it never follows the log. */
  readonly untilAt: string | null;
  readonly untilPosition: Position | null;
  /** Of a generation that is being built; see `src/replay/build/generation-build.ts`. */
  readonly phase: 'folding' | 'loading' | 'indexing' | 'judging' | 'following';
  /** The last stream, by id, of those that a build which reads stream after stream has folded (empty: none yet); null of any other build. */
  readonly foldedUpTo: string | null;
  readonly workTotal: number;
  readonly workDone: number;
  readonly startedAt: Date | null;
  readonly readyAt: Date | null;
  readonly requestedBy: string | null;
  readonly reason: string | null;
  /** Higher the later it stopped being live; null when it never was, or still is for the first time. */
  readonly standbyNumber: number | null;
}

/** Longer than PostgreSQL leaves a paused process its locks (IDLE_LIMIT), and short enough for somebody who waits. */
const WAITS_AT_MOST_MS = 10_000;
const LOCK_NOT_AVAILABLE = '55P03';

/** Other operators' steps take longer than anybody should wait for. */
export class OperatorBusyError extends Error {
  override readonly name = 'OperatorBusyError';
  constructor(cause: unknown) {
    super(
      `waited ${WAITS_AT_MOST_MS / 1000} s for other operators' steps, which are still under way: try again later`,
      {
        cause,
      },
    );
  }
}

/** Until the transaction ends no other operator makes, switches or ends a generation. Throws OperatorBusyError. */
export async function lockRegistry(client: Pick<PoolClient, 'query'>): Promise<void> {
  await client.query(`set local lock_timeout = ${WAITS_AT_MOST_MS}`);
  try {
    await client.query(`select pg_advisory_xact_lock(hashtext('opstruth.generations'))`);
  } catch (error) {
    throw error instanceof DatabaseError && error.code === LOCK_NOT_AVAILABLE
      ? new OperatorBusyError(error)
      : error;
  }
  await client.query('set local lock_timeout to default');
}

/**
 * No batch moves the checkpoints of these generations and no builder their state until the transaction ends. Only an operator
 * locks several, in this order, so that no two wait for each other; a projector locks one.
 */
export async function lockRows(client: Pick<PoolClient, 'query'>, ids: readonly number[]): Promise<void> {
  await client.query('select from opstruth.generations where id = any($1::int[]) order by id for update', [
    ids,
  ]);
}

/** Where a historical generation ends: an instant or a position. */
export function untilOf({
  untilAt,
  untilPosition,
}: Pick<Generation, 'untilAt' | 'untilPosition'>): string | null {
  if (untilPosition) return formatPosition(untilPosition);
  return untilAt === null ? null : canonicalInstant(untilAt);
}

export function isHistorical(generation: Pick<Generation, 'untilAt' | 'untilPosition'>): boolean {
  return generation.untilAt !== null || generation.untilPosition !== null;
}

const COLUMNS = `id, schema_name, state, classifier_version, policy_version, surfaces_digest, log_identity,
  checkpoint_commit, checkpoint_prepare, epoch, events_applied, checkpoint_at, failure, made_by, made_from,
  to_char(until_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as until_at, until_commit, until_prepare,
  phase, folded_up_to, work_total, work_done, started_at, ready_at, requested_by, reason, standby_number`;

export async function liveGeneration(pool: Pick<Pool, 'query'>): Promise<Generation | null> {
  const { rows } = await pool.query<GenerationRow>(
    `select ${COLUMNS} from opstruth.generations where state = 'live'`,
  );
  return rows[0] ? generationOf(rows[0]) : null;
}

export async function generationById(pool: Pick<Pool, 'query'>, id: number): Promise<Generation | null> {
  const { rows } = await pool.query<GenerationRow>(
    `select ${COLUMNS} from opstruth.generations where id = $1`,
    [id],
  );
  return rows[0] ? generationOf(rows[0]) : null;
}

export async function listGenerations(pool: Pick<Pool, 'query'>): Promise<Generation[]> {
  const { rows } = await pool.query<GenerationRow>(`select ${COLUMNS} from opstruth.generations order by id`);
  return rows.map(generationOf);
}

/** The read tables were made by another version of the code, or follow another log. */
export class GenerationMismatchError extends Error {
  override readonly name = 'GenerationMismatchError';
}

/**
 * The live generation, made empty when there is none yet. Throws GenerationMismatchError when the one there is
 * cannot be continued by this binary on this log.
 */
export async function ensureLiveGeneration(
  pool: Pool,
  wanted: {
    readonly surfaces: readonly Surface[];
    readonly classifierVersion: number;
    readonly policyVersion: number;
    readonly logIdentity: string;
    /** Whether the tables may be those of another version: for work that builds one beside it, or looks at positions. */
    readonly anySurfaces?: boolean;
  },
): Promise<Generation> {
  // Who only looks is not to wait for who works.
  const live = (await liveGeneration(pool)) ?? (await makeFirstGeneration(pool, wanted));
  refuseOtherLog(live, wanted.logIdentity);
  if (!wanted.anySurfaces) refuseOtherSurfaces(live, wanted.surfaces);
  return live;
}

async function makeFirstGeneration(
  pool: Pool,
  wanted: Omit<Parameters<typeof createGeneration>[1], 'state'>,
): Promise<Generation> {
  return transaction(pool, async (client) => {
    // Two processes starting on an empty database: the second waits here and then finds the first one's.
    await lockRegistry(client);
    return (await liveGeneration(client)) ?? createGeneration(client, { ...wanted, state: 'live' });
  });
}

/** Makes an empty generation inside the caller's transaction. */
export async function createGeneration(
  client: PoolClient,
  wanted: {
    readonly surfaces: readonly Surface[];
    readonly state: GenerationState;
    readonly classifierVersion: number;
    readonly policyVersion: number;
    readonly logIdentity: string;
    /** Which keys and indexes it begins with: one that is to be loaded in bulk, which is quicker without. (Default: all) */
    readonly indexed?: 'all' | 'run_facts' | 'none';
  },
): Promise<Generation> {
  const { rows } = await client.query<GenerationRow>(
    `with next as (select nextval(pg_get_serial_sequence('opstruth.generations', 'id'))::int as id)
     insert into opstruth.generations
       (id, schema_name, state, classifier_version, policy_version, surfaces_digest, log_identity)
       overriding system value
     select id, 'opstruth_gen_' || id, $1, $2, $3, $4, $5 from next
     returning ${COLUMNS}`,
    [
      wanted.state,
      wanted.classifierVersion,
      wanted.policyVersion,
      surfacesDigest(wanted.surfaces),
      wanted.logIdentity,
    ],
  );
  const generation = generationOf(rows[0]!);
  const { indexed = 'all', surfaces } = wanted;
  const { schema } = generation;
  const indexes = { all: indexesSql(schema, surfaces), run_facts: runFactsIndexesSql(schema), none: [] };
  // At once: between forty statements a busy process would be away forty times.
  await client.query([...tablesSql(schema, surfaces), ...indexes[indexed]].join(';\n'));
  return generation;
}

/** Whether this binary's projector may write the generation's tables and its surfaces read them. */
export function isOfSurfaces(
  generation: Pick<Generation, 'surfacesDigest'>,
  surfaces: readonly Surface[],
): boolean {
  return generation.surfacesDigest === surfacesDigest(surfaces);
}

/** Shown, about to be, and to be gone back to at once: what a projector keeps up with the log, if it can. */
export const FOLLOWING: readonly GenerationState[] = ['live', 'ready', 'standby'];

/**
 * Whether a projector of these surfaces keeps it up with the log while it is in one of `states`. While versions are mixed,
 * another binary's tables are not ours to write.
 */
export function followsLog(
  generation: Generation,
  surfaces: readonly Surface[],
  states: readonly GenerationState[] = FOLLOWING,
): boolean {
  return states.includes(generation.state) && !isHistorical(generation) && isOfSurfaces(generation, surfaces);
}

/** What to say of one that is not `isOfSurfaces`. */
export function hasOtherTables({ id }: Pick<Generation, 'id'>): string {
  return `generation ${id} has the read tables of another version of opstruth`;
}

function refuseOtherLog(live: Generation, logIdentity: string): void {
  if (live.logIdentity !== logIdentity)
    throw new GenerationMismatchError(
      `generation ${live.id} was projected from log ${live.logIdentity}, but the event store is log ${logIdentity}: ` +
        'connect the event store it belongs to, or build a new generation',
    );
}

function refuseOtherSurfaces(live: Generation, surfaces: readonly Surface[]): void {
  if (!isOfSurfaces(live, surfaces))
    throw new GenerationMismatchError(
      `${hasOtherTables(live)}. While that version goes on serving, ` +
        'build one with this version: `opstruth replay start`, then `opstruth replay cutover`; then start this version',
    );
}

interface GenerationRow {
  id: number;
  schema_name: string;
  state: GenerationState;
  classifier_version: number;
  policy_version: number;
  surfaces_digest: string;
  log_identity: string;
  checkpoint_commit: string;
  checkpoint_prepare: string;
  epoch: string;
  events_applied: string;
  checkpoint_at: Date | null;
  failure: string | null;
  made_by: Generation['madeBy'];
  made_from: number | null;
  until_at: string | null;
  until_commit: string | null;
  until_prepare: string | null;
  phase: Generation['phase'];
  folded_up_to: string | null;
  work_total: string;
  work_done: string;
  started_at: Date | null;
  ready_at: Date | null;
  requested_by: string | null;
  reason: string | null;
  standby_number: number | null;
}

function generationOf(row: GenerationRow): Generation {
  return {
    id: row.id,
    schema: row.schema_name,
    state: row.state,
    classifierVersion: row.classifier_version,
    policyVersion: row.policy_version,
    surfacesDigest: row.surfaces_digest,
    logIdentity: row.log_identity,
    checkpoint: { commit: BigInt(row.checkpoint_commit), prepare: BigInt(row.checkpoint_prepare) },
    epoch: BigInt(row.epoch),
    eventsApplied: Number(row.events_applied),
    checkpointAt: row.checkpoint_at,
    failure: row.failure,
    madeBy: row.made_by,
    madeFrom: row.made_from,
    untilAt: row.until_at,
    untilPosition:
      row.until_commit === null || row.until_prepare === null
        ? null
        : { commit: BigInt(row.until_commit), prepare: BigInt(row.until_prepare) },
    phase: row.phase,
    foldedUpTo: row.folded_up_to,
    workTotal: Number(row.work_total),
    workDone: Number(row.work_done),
    startedAt: row.started_at,
    readyAt: row.ready_at,
    requestedBy: row.requested_by,
    reason: row.reason,
    standbyNumber: row.standby_number,
  };
}
