import type { Pool } from 'pg';
import type { EventStore } from '../event-store/event-store';
import type { Clock } from '../events/instant';
import { micros } from '../events/instant';
import { formatPosition } from '../events/position';
import { isSchemaGone } from '../db/schema-gone';
import { generationById, isHistorical, listGenerations, untilOf } from './generations';
import type { Generation, GenerationState } from './generations';
import { loadParkedStreams } from './parked-streams';

export interface GenerationStatus {
  readonly generation: number;
  readonly state: GenerationState;
  readonly classifierVersion: number;
  readonly policyVersion: number;
  readonly position: string;
  /** Where a historical generation ends: an instant or a position. */
  readonly until: string | null;
  readonly eventsApplied: number;
  /** Events in the log that are not in the read tables yet; `exact` is false when there are more than were counted. */
  readonly lag: { readonly events: number; readonly exact: boolean; readonly seconds: number };
  readonly parked: { readonly streams: number; readonly events: number };
  /** What random runs folded anew came to; null before the first look. `found` outlives looks that find nothing. */
  readonly audit: {
    readonly lastAt: string;
    readonly runs: number;
    readonly differences: number;
    readonly runsTotal: number;
    readonly differencesTotal: number;
    readonly foundAt: string | null;
    readonly found: readonly unknown[];
  } | null;
  readonly checkpointAt: string | null;
  readonly failure: string | null;
}

export interface ProjectionStatus {
  readonly tail: string;
  readonly logIdentity: string;
  readonly generations: readonly GenerationStatus[];
  /** Who projects, and until when unless they renew. */
  readonly lease: { readonly holder: string; readonly expiresAt: string } | null;
}

const NOTHING_PENDING = { events: 0, oldestRecordedAt: null };

/** Counting stops here: past it the reader learns that there is a lot, not how much. */
const LAG_COUNT_LIMIT = 100_000;

export async function projectionStatus(
  pool: Pool,
  store: EventStore,
  clock: Clock,
): Promise<ProjectionStatus> {
  const [tail, logIdentity, generations, leases, audits] = await Promise.all([
    store.tail(),
    store.identity(),
    listGenerations(pool),
    pool.query<{ holder: string; expires_at: Date }>(
      `select holder, expires_at from opstruth.leases where name = 'projector'`,
    ),
    auditResults(pool),
  ]);
  const lease = leases.rows[0];
  const statuses = await Promise.all(
    generations
      .filter(hasTables)
      .map((generation) => statusOf(pool, store, clock, generation, audits.get(generation.id) ?? null)),
  );
  return {
    tail: formatPosition(tail),
    logIdentity,
    generations: statuses.filter((status) => status !== null),
    lease: lease ? { holder: lease.holder, expiresAt: lease.expires_at.toISOString() } : null,
  };
}

/** Those of an ended generation are dropped. */
function hasTables({ state }: Pick<Generation, 'state'>): boolean {
  return state !== 'retired' && state !== 'failed';
}

/** Null when the generation has been ended meanwhile. */
async function statusOf(
  pool: Pool,
  store: EventStore,
  clock: Clock,
  generation: Generation,
  audit: GenerationStatus['audit'],
): Promise<GenerationStatus | null> {
  const [pending, parked] = await Promise.all([
    // A historical generation is to come no further, and nobody must be alarmed that it does not.
    isHistorical(generation) ? NOTHING_PENDING : store.pending(generation.checkpoint, LAG_COUNT_LIMIT),
    loadParkedStreams(pool, generation.schema).catch(async (error: unknown) => {
      const now = isSchemaGone(error) ? await generationById(pool, generation.id) : generation;
      if (now && hasTables(now)) throw error;
      return null;
    }),
  ]);
  if (!parked) return null;
  const waitingMicros = pending.oldestRecordedAt ? micros(clock.now()) - micros(pending.oldestRecordedAt) : 0;
  return {
    generation: generation.id,
    state: generation.state,
    classifierVersion: generation.classifierVersion,
    policyVersion: generation.policyVersion,
    position: formatPosition(generation.checkpoint),
    until: untilOf(generation),
    eventsApplied: generation.eventsApplied,
    lag: {
      events: pending.events,
      exact: pending.events < LAG_COUNT_LIMIT,
      seconds: Math.max(0, waitingMicros / 1_000_000),
    },
    parked: { streams: parked.streams.size, events: parked.letters },
    audit,
    checkpointAt: generation.checkpointAt?.toISOString() ?? null,
    failure: generation.failure,
  };
}

async function auditResults(pool: Pool): Promise<Map<number, NonNullable<GenerationStatus['audit']>>> {
  const { rows } = await pool.query<{
    generation: number;
    last_at: Date;
    last_runs: number;
    last_differences: number;
    runs_total: string;
    differences_total: string;
    found_at: Date | null;
    found: unknown[] | null;
  }>(
    `select generation, last_at, last_runs, last_differences, runs_total, differences_total, found_at, found
     from opstruth.audit_results`,
  );
  return new Map(
    rows.map((row) => [
      row.generation,
      {
        lastAt: row.last_at.toISOString(),
        runs: row.last_runs,
        differences: row.last_differences,
        runsTotal: Number(row.runs_total),
        differencesTotal: Number(row.differences_total),
        foundAt: row.found_at?.toISOString() ?? null,
        found: row.found ?? [],
      },
    ]),
  );
}
