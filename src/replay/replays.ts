import type { PoolClient } from 'pg';
import { classifiers } from '../classifier/classifier';
import { transaction } from '../db/transaction';
import { isLater } from '../events/instant';
import type { Instant } from '../events/instant';
import { COUNT_ALL } from '../event-store/event-store';
import { comparePositions, formatPosition, START } from '../events/position';
import { UNSTORABLE_WORDS, isStorableJson } from '../events/storable-json';
import type { Position } from '../events/position';
import {
  createGeneration,
  generationById,
  isHistorical,
  isOfSurfaces,
  listGenerations,
  lockRegistry,
  lockRows,
  OperatorBusyError,
} from '../projector/generations';
import type { Generation } from '../projector/generations';
import { loadPolicy } from '../projector/policies';
import { recordAudit } from './audit-entries';
import { dropTables } from './build/drop-tables';
import type { OperatorContext } from './operator-context';
import { candidateOf, factsWillDo, requireLive } from './replay-plan';
import type { Candidate, ReplayPlan } from './replay-plan';

/** Who asks, and why; both are kept with what was done. */
export interface Operator {
  readonly actor: string;
  readonly reason: string | null;
}

/** What an operator asked for cannot be done as things stand. The message says what stands in the way, and what to do. */
export class ReplayRefusedError extends Error {
  override readonly name = 'ReplayRefusedError';
  constructor(
    readonly code:
      | 'not_found'
      | 'wrong_state'
      | 'replay_under_way'
      | 'not_caught_up'
      | 'cutover_refused'
      | 'reason_required'
      | 'unprocessable',
    message: string,
    readonly details: readonly string[] = [],
  ) {
    super(message);
  }
}

export const MAX_REASON_LENGTH = 500;

/** A reason as it is kept, whichever way it came: without blanks around it, and one of nothing but blanks is none. */
export function reasonOf(words: string | null | undefined): string | null {
  const reason = words?.trim() || null;
  if (!isStorableJson(JSON.stringify(reason)))
    throw new ReplayRefusedError('unprocessable', `a reason must not contain ${UNSTORABLE_WORDS}`);
  if (reason !== null && reason.length > MAX_REASON_LENGTH)
    throw new ReplayRefusedError(
      'unprocessable',
      `a reason has at most ${MAX_REASON_LENGTH} characters, this one has ${reason.length}`,
    );
  return reason;
}

export function withReason(operator: Operator): Operator {
  return { ...operator, reason: reasonOf(operator.reason) };
}

export interface StartRequest extends Candidate {
  /** Reads the log even where the live generation's run facts would do. */
  readonly full?: boolean;
  readonly until?: { readonly at: Instant } | { readonly position: Position };
}

/**
 * Makes a new, empty generation beside the live one and asks for it to be built. A worker of any process takes it from
 * there. Refused while another replay is being built or waits for its cutover; historical ones do not stand in the way.
 */
export async function startReplay(
  context: OperatorContext,
  request: StartRequest,
  asking: Operator,
): Promise<Generation> {
  const operator = withReason(asking);
  await requireReached(context, request.until);
  for (;;) {
    const wanted = await wantedReplay(context, request);
    const started = await asOnlyOperator(context, async (client) => {
      const generations = await listGenerations(client);
      refuseSecondReplay(generations, request);
      // Its work was counted with nothing locked. What is not live any more may be dropped, and other rules be in force.
      if (liveOf(generations).id !== wanted.live.id) return null;
      return createReplay(client, context, wanted, operator);
    });
    if (started) return started;
  }
}

/** What a request comes to while `live` is live. */
interface WantedReplay {
  readonly live: Generation;
  readonly rules: ReplayPlan['to'];
  readonly madeBy: ReplayPlan['madeBy'];
  readonly until: StartRequest['until'];
  /** Runs or events. */
  readonly total: number;
}

async function wantedReplay(context: OperatorContext, request: StartRequest): Promise<WantedReplay> {
  const { pool, store } = context;
  const live = await requireLive(pool);
  const rules = candidateOf(live, request);
  if (!classifiers.has(rules.classifierVersion))
    throw new ReplayRefusedError(
      'unprocessable',
      `there is no classifier version ${rules.classifierVersion}`,
    );
  await loadPolicy(pool, rules.policyVersion);
  const { full, until } = request;
  const facts = !full && until === undefined && (await factsWillDo(context, live, rules));
  const total = facts ? await countRuns(context, live) : (await store.pending(START, COUNT_ALL)).events;
  return { live, rules, madeBy: facts ? 'facts' : 'full', until, total };
}

function refuseSecondReplay(generations: readonly Generation[], { until }: StartRequest): void {
  const other = generations.find(
    (one) => (one.state === 'building' || one.state === 'ready') && !isHistorical(one),
  );
  if (other && until === undefined)
    throw new ReplayRefusedError(
      'replay_under_way',
      `replay ${other.id} is ${other.state} (asked for by ${other.requestedBy ?? 'nobody'}): ` +
        `${other.state === 'ready' ? 'cut it over' : 'wait for it'} or abort it first`,
    );
}

async function createReplay(
  client: PoolClient,
  { surfaces }: OperatorContext,
  { live, rules, madeBy, until, total }: WantedReplay,
  operator: Operator,
): Promise<Generation> {
  const facts = madeBy === 'facts';
  const generation = await createGeneration(client, {
    surfaces,
    state: 'building',
    ...rules,
    logIdentity: live.logIdentity,
    indexed: facts ? 'none' : 'run_facts',
  });
  await client.query(
    `update opstruth.generations
     set made_by = $2, made_from = $3, until_at = $4, until_commit = $5, until_prepare = $6, phase = $7,
         work_total = $8, runs_total = $9, started_at = now(), phase_started_at = now(), requested_by = $10, reason = $11
     where id = $1`,
    [
      generation.id,
      madeBy,
      live.id,
      until && 'at' in until ? until.at : null,
      until && 'position' in until ? until.position.commit : null,
      until && 'position' in until ? until.position.prepare : null,
      facts ? 'loading' : 'folding',
      total,
      facts ? total : 0,
      operator.actor,
      operator.reason,
    ],
  );
  await recordAudit(client, {
    ...operator,
    action: 'replay.start',
    generation: generation.id,
    details: {
      ...rules,
      madeBy,
      ...(until && { until: 'at' in until ? until.at : formatPosition(until.position) }),
    },
  });
  return { ...generation, madeBy, workTotal: total };
}

/** A generation up to an end that is still to come would not show what its name says, once that has come. */
async function requireReached(
  { store, clock }: OperatorContext,
  until: StartRequest['until'],
): Promise<void> {
  if (!until) return;
  if ('at' in until) {
    const now = clock.now();
    if (isLater(until.at, now))
      throw new ReplayRefusedError('unprocessable', `${until.at} is in the future: it is ${now} here`);
    return;
  }
  const tail = await store.tail();
  if (comparePositions(until.position, tail) > 0)
    throw new ReplayRefusedError(
      'unprocessable',
      `position ${formatPosition(until.position)} is beyond the end of the log, which is at ${formatPosition(tail)}`,
    );
}

/** The generation, which an abort ends. Refused when it is neither being built nor waits for its cutover. */
export function requireAbortable(generations: readonly Generation[], id: number): Generation {
  return stateOf(generations, id, ['building', 'ready'], 'abort');
}

/** The generation, which a retirement ends. Refused unless it is a standby or historical, and while another is made from it. */
export function requireRetirable(generations: readonly Generation[], id: number): Generation {
  const historical = generations.some((one) => one.id === id && isHistorical(one));
  const generation = stateOf(generations, id, historical ? ['ready'] : ['standby'], 'retire');
  const copy = generations.find(
    (one) => one.state === 'building' && one.madeBy === 'facts' && one.madeFrom === id,
  );
  if (copy)
    throw new ReplayRefusedError(
      'wrong_state',
      `cannot retire generation ${id}: ${copy.id} is being made from its tables; wait for it or abort it first`,
    );
  return generation;
}

/** Gives up a replay that is not live: what was built is dropped. False where somebody works on that still. */
export async function abortReplay(context: OperatorContext, id: number, asking: Operator): Promise<boolean> {
  const operator = withReason(asking);
  const generation = await asOnlyOperator(context, async (client) => {
    const ended = requireAbortable(await lockGenerations(client, [id]), id);
    await endGeneration(client, id, 'failed', `aborted by ${operator.actor}`);
    await recordAudit(client, { ...operator, action: 'replay.abort', generation: id, details: {} });
    return ended;
  });
  return dropTables(context.pool, generation);
}

/** Drops a generation that nobody goes back to: a standby, or a historical one. False where somebody works on it still. */
export async function retireGeneration(
  context: OperatorContext,
  id: number,
  asking: Operator,
): Promise<boolean> {
  const operator = withReason(asking);
  const generation = await asOnlyOperator(context, async (client) => {
    const ended = requireRetirable(await lockGenerations(client, [id]), id);
    await endGeneration(client, id, 'retired', null);
    await recordAudit(client, { ...operator, action: 'replay.retire', generation: id, details: {} });
    return ended;
  });
  return dropTables(context.pool, generation);
}

/**
 * Makes `to` live and what was live standby, in one short transaction. Both keep following the log. Queries see the old
 * generation whole or the new one whole. Refused (`not_caught_up`) when readers would be taken back in the log.
 */
export async function switchLive(
  client: PoolClient,
  generations: readonly Generation[],
  to: Generation,
): Promise<Generation> {
  const live = liveOf(generations);
  if (comparePositions(to.checkpoint, live.checkpoint) < 0) throw behindLive(to, live.checkpoint);
  await client.query(
    `update opstruth.generations
     set state = 'standby', standby_number = (select coalesce(max(standby_number), 0) + 1 from opstruth.generations)
     where id = $1`,
    [live.id],
  );
  await client.query(`update opstruth.generations set state = 'live' where id = $1`, [to.id]);
  return live;
}

export function behindLive({ id, checkpoint }: Generation, live: Position): ReplayRefusedError {
  return new ReplayRefusedError(
    'not_caught_up',
    `generation ${id} is at ${formatPosition(checkpoint)}, behind the live one at ${formatPosition(live)}`,
  );
}

/** Runs `work` in one transaction, while no other operator changes anything about generations. Refused when one does for long. */
export async function asOnlyOperator<T>(
  { pool }: Pick<OperatorContext, 'pool'>,
  work: (client: PoolClient) => Promise<T>,
): Promise<T> {
  return transaction(pool, async (client) => {
    await lockRegistry(client).catch(refuseBusy);
    return work(client);
  });
}

/** For a catch. */
export function refuseBusy(error: unknown): never {
  if (!(error instanceof OperatorBusyError)) throw error;
  throw new ReplayRefusedError('wrong_state', error.message);
}

/**
 * All generations, those of `ids` as they stay until the transaction ends: no batch moves their checkpoints and no builder
 * their state. To be locked by the only operator, and shortly before the end: a projector waits for it.
 */
export async function lockGenerations(client: PoolClient, ids: readonly number[]): Promise<Generation[]> {
  await lockRows(client, ids);
  return listGenerations(client);
}

export function liveOf(generations: readonly Generation[]): Generation {
  const live = generations.find(({ state }) => state === 'live');
  if (!live) throw new ReplayRefusedError('wrong_state', 'there is no live generation to switch from');
  return live;
}

export function stateOf(
  generations: readonly Generation[],
  id: number,
  allowed: readonly Generation['state'][],
  action: string,
): Generation {
  const generation = generations.find((one) => one.id === id);
  if (!generation) throw new ReplayRefusedError('not_found', `there is no generation ${id}`);
  if (!allowed.includes(generation.state))
    throw new ReplayRefusedError(
      'wrong_state',
      `cannot ${action} generation ${id}: it is ${generation.state}, not ${allowed.join(' or ')}`,
    );
  return generation;
}

/** Refuses a step after which this binary's code would read or write tables that are not of its making. */
export function refuseOtherVersions(
  generation: Generation,
  { surfaces }: Pick<OperatorContext, 'surfaces'>,
  action: string,
): void {
  if (isOfSurfaces(generation, surfaces)) return;
  throw new ReplayRefusedError(
    'wrong_state',
    `cannot ${action} generation ${generation.id}: it has the read tables of another version of opstruth; ` +
      'run this step with the version that made it',
  );
}

export async function requireGeneration(
  { pool }: Pick<OperatorContext, 'pool'>,
  id: number,
): Promise<Generation> {
  const generation = await generationById(pool, id);
  if (!generation) throw new ReplayRefusedError('not_found', `there is no generation ${id}`);
  return generation;
}

async function endGeneration(
  client: PoolClient,
  id: number,
  state: 'retired' | 'failed',
  failure: string | null,
): Promise<void> {
  await client.query('update opstruth.generations set state = $2, failure = $3 where id = $1', [
    id,
    state,
    failure,
  ]);
}

async function countRuns({ pool }: OperatorContext, { schema }: Generation): Promise<number> {
  const { rows } = await pool.query<{ runs: number }>(
    `select count(*)::int as runs from ${schema}.run_facts`,
  );
  return rows[0]!.runs;
}
