import type { Pool } from 'pg';
import { z } from 'zod';
import { canonicalInstant } from '../events/instant';

export const replayStatusSchema = z
  .object({
    /** A replay makes a generation: this is the number of both. */
    id: z.int(),
    state: z.enum(['building', 'ready', 'live', 'standby', 'retired', 'failed']),
    phase: z.enum(['folding', 'loading', 'indexing', 'judging', 'following']),
    madeBy: z.enum(['first', 'full', 'facts']),
    classifierVersion: z.int(),
    policyVersion: z.int(),
    /** Where a historical generation ends: an instant or a position. */
    until: z.string().nullable(),
    /** What `done` and `total` count: events while the log is folded, runs while tables are loaded and runs are judged. */
    unit: z.enum(['events', 'runs']),
    done: z.int(),
    /** As counted at the start; of a historical generation the whole log, of which it reads a part. */
    total: z.int(),
    /** The process that builds it now; null of one that waits for a builder, and of one that is built. */
    builtBy: z.string().nullable(),
    /** Of the phase it is in since the present builder took over, and of the whole once it is ready: null where that says nothing, as while indexes are made or nobody builds. */
    ratePerSecond: z.number().nullable(),
    /** Until the phase is over. */
    etaSeconds: z.number().nullable(),
    elapsedSeconds: z.number().nullable(),
    startedAt: z.string().nullable(),
    readyAt: z.string().nullable(),
    requestedBy: z.string().nullable(),
    reason: z.string().nullable(),
    /** The last thing that went wrong; one that is still building is tried again. */
    failure: z.string().nullable(),
  })
  .meta({ id: 'ReplayStatus' });
export type ReplayStatus = z.infer<typeof replayStatusSchema>;

/** The lease that whoever builds a generation holds. */
export function buildLease(id: number): string {
  return `${BUILD_LEASE}${id}`;
}
const BUILD_LEASE = 'replay-';

/** Elapsed time is taken from the database's clock alone, which also wrote `started_at`. */
const COLUMNS = `id, state, phase, made_by, classifier_version, policy_version,
  to_char(until_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as until_at,
  until_commit || '.' || until_prepare as until_position,
  work_total::float8, work_done::float8, runs_total::float8, runs_loaded::float8, events_applied::float8,
  phase_done_before::float8, idle_seconds, started_at, ready_at, requested_by, reason, failure,
  extract(epoch from coalesce(ready_at, case when state = 'building' then clock_timestamp() end) - started_at)::float8
    as elapsed,
  extract(epoch from clock_timestamp() - phase_started_at)::float8 as in_phase,
  case when state = 'building' then
    (select holder from opstruth.leases where name = '${BUILD_LEASE}' || generations.id and expires_at > clock_timestamp())
  end as built_by`;

const LISTED = 100;

/** How far the making of a generation is, from its row alone; null when there is no such generation. */
export async function replayStatus(pool: Pool, id: number): Promise<ReplayStatus | null> {
  const { rows } = await pool.query<StatusRow>(`select ${COLUMNS} from opstruth.generations where id = $1`, [
    id,
  ]);
  return rows[0] ? statusOf(rows[0]) : null;
}

/** The last generations, newest first; the first one of all, which no replay made, is among them. */
export async function listReplays(pool: Pool): Promise<ReplayStatus[]> {
  const { rows } = await pool.query<StatusRow>(
    `select ${COLUMNS} from opstruth.generations order by id desc limit $1`,
    [LISTED],
  );
  return rows.map(statusOf);
}

interface StatusRow {
  readonly id: number;
  readonly state: ReplayStatus['state'];
  readonly phase: ReplayStatus['phase'];
  readonly made_by: ReplayStatus['madeBy'];
  readonly classifier_version: number;
  readonly policy_version: number;
  readonly until_at: string | null;
  readonly until_position: string | null;
  readonly work_total: number;
  readonly work_done: number;
  readonly runs_total: number;
  readonly runs_loaded: number;
  readonly events_applied: number;
  readonly phase_done_before: number;
  readonly idle_seconds: number;
  readonly started_at: Date | null;
  readonly ready_at: Date | null;
  readonly requested_by: string | null;
  readonly reason: string | null;
  readonly failure: string | null;
  readonly elapsed: number | null;
  readonly in_phase: number | null;
  readonly built_by: string | null;
}

function statusOf(row: StatusRow): ReplayStatus {
  return {
    id: row.id,
    state: row.state,
    phase: row.phase,
    madeBy: row.made_by,
    classifierVersion: row.classifier_version,
    policyVersion: row.policy_version,
    until: untilOf(row),
    builtBy: row.built_by,
    ...progressOf(row),
    elapsedSeconds: row.elapsed,
    startedAt: row.started_at?.toISOString() ?? null,
    readyAt: row.ready_at?.toISOString() ?? null,
    requestedBy: row.requested_by,
    reason: row.reason,
    failure: row.failure,
  };
}

function progressOf(
  row: StatusRow,
): Pick<ReplayStatus, 'unit' | 'done' | 'total' | 'ratePerSecond' | 'etaSeconds'> {
  const { state, phase, elapsed, idle_seconds: idle, in_phase: inPhase } = row;
  const unit = row.made_by === 'facts' ? 'runs' : 'events';
  const done = unit === 'runs' ? row.work_done : row.events_applied;
  if (state !== 'building' && state !== 'failed') {
    // One that follows the log goes on counting events; what it took to make it stays what it was.
    const made = row.made_by === 'full' && untilOf(row) === null ? row.work_total : done;
    const worked = elapsed === null ? null : elapsed - idle;
    return { unit, done: made, total: made, ratePerSecond: perSecond(made, worked), etaSeconds: null };
  }
  const measured = row.built_by !== null;
  if (phase === 'loading')
    return under('runs', row.runs_loaded, row.runs_total, { before: 0, seconds: measured ? inPhase : null });
  const seconds = measured && (phase === 'folding' || phase === 'judging') ? inPhase : null;
  return under(unit, done, row.work_total, { before: row.phase_done_before, seconds });
}

/**
 * The runs and the log grow while they are read. What was done `before` the present builder took over says nothing of
 * how fast it is.
 */
function under(
  unit: ReplayStatus['unit'],
  done: number,
  expected: number,
  { before, seconds }: { readonly before: number; readonly seconds: number | null },
) {
  const total = Math.max(expected, done);
  const rate = perSecond(Math.max(0, done - before), seconds);
  return { unit, done, total, ratePerSecond: rate, etaSeconds: rate ? (total - done) / rate : null };
}

function untilOf({ until_at, until_position }: StatusRow): string | null {
  return until_at === null ? until_position : canonicalInstant(until_at);
}

function perSecond(work: number, seconds: number | null): number | null {
  return seconds === null || seconds <= 0 || work === 0 ? null : work / seconds;
}
