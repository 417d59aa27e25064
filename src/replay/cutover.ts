import type { PoolClient } from 'pg';
import { counted } from '../counted';
import { sleep } from '../event-store/abortable';
import type { Instant } from '../events/instant';
import { comparePositions } from '../events/position';
import { catchUp } from '../projector/generation-projector';
import { generationById, isHistorical, isOfSurfaces, listGenerations } from '../projector/generations';
import type { Generation } from '../projector/generations';
import { judgeFor } from '../projector/live-classification';
import { listParked, loadParkedStreams } from '../projector/parked-streams';
import { recordAudit } from './audit-entries';
import { diffGenerations } from './generation-diff';
import type { OperatorContext } from './operator-context';
import {
  asOnlyOperator,
  liveOf,
  lockGenerations,
  refuseOtherVersions,
  ReplayRefusedError,
  requireGeneration,
  stateOf,
  switchLive,
  withReason,
} from './replays';
import type { Operator } from './replays';
import { requireLive } from './replay-plan';
import type { Comparison, MatrixClass } from './transition-matrix';

/** A transition nobody should be surprised by, as `from:to`. */
export interface ForbiddenTransition {
  readonly from: MatrixClass;
  readonly to: MatrixClass;
}

/** Follow-ups that silently vanish, and runs that do, are what operators must never lose without saying so. */
export const DEFAULT_FORBIDDEN: readonly ForbiddenTransition[] = [
  { from: 'terminal_follow_up', to: 'none' },
  { from: 'none', to: 'absent' },
  { from: 'active_stale_attention', to: 'absent' },
  { from: 'terminal_follow_up', to: 'absent' },
];

export const DEFAULT_MAX_CHANGE_PERCENT = 5;

export interface CutoverGate {
  readonly maxChangePercent: number;
  readonly forbidden: readonly ForbiddenTransition[];
}

export interface CutoverCheck {
  readonly from: number;
  readonly to: number;
  readonly comparison: Comparison;
  /** What stands in the way; empty when nothing does. */
  readonly objections: readonly string[];
}

/** The generation that is live, and the one to be live in its place. */
export interface RollBack {
  readonly from: number;
  readonly to: number;
}

const SWITCH_ATTEMPTS = 4;
const BETWEEN_ATTEMPTS_MS = 50;
/** One that has just become ready is followed after half a second at most, and has that much to catch up with. */
const NEAR_AT_MOST_MS = 3_000;
/** Some batches of a generation that is not live: after one of them it is likely to be level. */
const WAITED_AT_MOST_MS = 500;
/** Three times its pace: what it needs to be level with one that stands still. */
const HELD_AT_MOST_MS = 300;
const LOOK_EVERY_MS = 3;
const EVENTS_PER_BATCH = 500;

/** What a cutover would do and what speaks against it. Changes nothing. */
export async function checkCutover(
  context: OperatorContext,
  id: number,
  gate: CutoverGate,
  asOf: Instant,
): Promise<CutoverCheck> {
  const live = await requireLive(context.pool);
  const next = stateOf([await requireGeneration(context, id)], id, ['ready'], 'cut over to');
  if (isHistorical(next))
    throw new ReplayRefusedError(
      'wrong_state',
      `generation ${id} is historical: it ends in the past and cannot go live`,
    );
  refuseOtherVersions(next, context, 'cut over to');
  const comparison = await diffGenerations(context.pool, live, next, asOf);
  return {
    from: live.id,
    to: id,
    comparison,
    objections: [...gateObjections(comparison, gate), ...(await parkedObjections(context, live, next))],
  };
}

/**
 * Makes a ready generation live. Refused (`gate`) while objections stand, unless forced with a reason, which is kept.
 * The switch itself is one short transaction; for a moment before it the live generation stands still, so that the new one
 * gets level with it.
 */
export async function cutOver(
  context: OperatorContext,
  id: number,
  request: { readonly gate: CutoverGate; readonly force: boolean; readonly asOf: Instant },
  asking: Operator,
): Promise<CutoverCheck> {
  const operator = withReason(asking);
  if (request.force && operator.reason === null)
    throw new ReplayRefusedError('reason_required', 'a forced cutover needs a reason, which is kept');
  const check = await checkCutover(context, id, request.gate, request.asOf);
  if (check.objections.length > 0 && !request.force)
    throw new ReplayRefusedError(
      'cutover_refused',
      `the cutover to generation ${id} is refused`,
      check.objections,
    );
  const details = { changedPercent: check.comparison.changedPercent, forced: check.objections };
  const step = { allowed: ['ready'], verb: 'cut over to', action: 'replay.cutover', details } as const;
  // What was compared is what is switched: not with another generation that went live meanwhile.
  await switchWhenLevel(context, { from: check.from, to: id, ...step }, operator);
  return check;
}

/**
 * Goes back to the generation that was live before; it has kept following the log. Answers the ids `{from, to}`. Refused
 * when another than `from`, or than the one found here, is live at the switch: of two who go back at once, the second
 * would undo what the first did.
 */
export async function rollBack(context: OperatorContext, asking: Operator, from?: number): Promise<RollBack> {
  const operator = withReason(asking);
  const wanted = await previewRollBack(context, from);
  const step = { allowed: ['standby'], verb: 'roll back to', action: 'replay.rollback' } as const;
  await switchWhenLevel(context, { ...wanted, ...step }, operator);
  return wanted;
}

/** What `rollBack` would do, or why it is refused. Changes nothing. */
export async function previewRollBack(context: OperatorContext, from?: number): Promise<RollBack> {
  const generations = await listGenerations(context.pool);
  const live = from === undefined ? liveOf(generations) : requireStillLive(generations, from);
  // Of several standbys the one that was live last: back and forth is between the two of the last switch.
  const [back] = generations
    .filter(({ state }) => state === 'standby')
    .sort((a, b) => (b.standbyNumber ?? 0) - (a.standbyNumber ?? 0) || b.id - a.id);
  if (!back) throw new ReplayRefusedError('wrong_state', 'there is no standby generation to go back to');
  refuseOtherVersions(back, context, 'roll back to');
  return { from: live.id, to: back.id };
}

interface Switch extends RollBack {
  /** The states that `to` may be in. */
  readonly allowed: readonly Generation['state'][];
  readonly verb: string;
  readonly action: string;
  /** For the audit entry, beside `from`. */
  readonly details?: object;
}

async function switchWhenLevel(
  context: OperatorContext,
  { from, to, allowed, verb, action, details }: Switch,
  operator: Operator,
): Promise<void> {
  await comeNear(context, { from, to });
  for (let attempt = 1; ; attempt++) {
    try {
      await approach(context, to);
      await asOnlyOperator(context, async (client) => {
        await holdLevel(client, { from, to });
        const generations = await lockGenerations(client, [from, to]);
        requireStillLive(generations, from);
        await switchLive(client, generations, stateOf(generations, to, allowed, verb));
        await recordAudit(client, { ...operator, action, generation: to, details: { from, ...details } });
      });
      return;
    } catch (error) {
      const behind = error instanceof ReplayRefusedError && error.code === 'not_caught_up';
      if (!behind || attempt === SWITCH_ATTEMPTS) throw error;
      await sleep(BETWEEN_ATTEMPTS_MS, new AbortController().signal);
    }
  }
}

/**
 * Waits, with nothing locked, until `to` has come as far as `from` is now. Whoever is further behind than a moment would have
 * the live generation held in vain.
 */
async function comeNear({ pool }: OperatorContext, { from, to }: RollBack): Promise<void> {
  const live = await generationById(pool, from);
  if (!live) return;
  await waitFor(
    async () => {
      const next = await generationById(pool, to);
      return !next || comparePositions(next.checkpoint, live.checkpoint) >= 0;
    },
    { atMostMs: NEAR_AT_MOST_MS, everyMs: BETWEEN_ATTEMPTS_MS },
  );
}

/**
 * Locks the row of the live generation, so that its next batch waits, at a moment when the other has come as far. It comes
 * so far with many of its batches, and then nobody waits for anything; where it does not, the live one is held until it has.
 */
async function holdLevel(client: PoolClient, { from, to }: RollBack): Promise<void> {
  const isLevel = async () => {
    const { rows } = await client.query<{ level: boolean }>(
      `select (next.checkpoint_commit, next.checkpoint_prepare) >= (live.checkpoint_commit, live.checkpoint_prepare) as level
       from opstruth.generations live, opstruth.generations next where live.id = $1 and next.id = $2`,
      [from, to],
    );
    // Whoever is not there, or late for good, is told of by the switch.
    return rows[0]?.level !== false;
  };
  await waitFor(isLevel, { atMostMs: WAITED_AT_MOST_MS, everyMs: LOOK_EVERY_MS });
  await client.query('select from opstruth.generations where id = $1 for update', [from]);
  await waitFor(isLevel, { atMostMs: HELD_AT_MOST_MS, everyMs: LOOK_EVERY_MS });
}

async function waitFor(
  condition: () => Promise<boolean>,
  { atMostMs, everyMs }: { readonly atMostMs: number; readonly everyMs: number },
): Promise<void> {
  const deadline = performance.now() + atMostMs;
  while (!(await condition()) && performance.now() < deadline)
    await sleep(everyMs, new AbortController().signal);
}

function requireStillLive(generations: readonly Generation[], from: number): Generation {
  const live = liveOf(generations);
  if (live.id !== from)
    throw new ReplayRefusedError('wrong_state', `generation ${from} is no longer live: ${live.id} is`);
  return live;
}

/** No projector of this version is at work while the live generation is another version's: what it would do is done here. */
async function approach({ pool, store, surfaces }: OperatorContext, id: number): Promise<void> {
  if (isOfSurfaces(await requireLive(pool), surfaces)) return;
  const target = await generationById(pool, id);
  if (!target) return;
  const judge = await judgeFor(pool, target);
  await catchUp(id, { pool, store, surfaces, judge, batchSize: EVENTS_PER_BATCH });
}

function gateObjections({ changed, changedPercent, matrix }: Comparison, gate: CutoverGate): string[] {
  const objections: string[] = [];
  const percent = changedPercent.toFixed(2);
  if (changedPercent > gate.maxChangePercent)
    objections.push(
      counted(changed, `run (${percent} %) changes class`, `runs (${percent} %) change class`) +
        `, more than ${gate.maxChangePercent} %`,
    );
  for (const { from, to } of gate.forbidden) {
    const runs = matrix
      .filter((one) => one.from === from && one.to === to)
      .reduce((sum, transition) => sum + transition.runs, 0);
    if (runs > 0)
      objections.push(`${counted(runs, 'run goes', 'runs go')} from ${from} to ${to}, which is forbidden`);
  }
  return objections;
}

async function parkedObjections(
  { pool }: OperatorContext,
  live: Generation,
  next: Generation,
): Promise<string[]> {
  const old = await loadParkedStreams(pool, live.schema);
  const fresh = (await listParked(pool, next)).filter(({ streamId }) => !old.streams.has(streamId));
  const [first] = fresh;
  if (!first) return [];
  return [
    `${counted(fresh.length, 'stream is', 'streams are')} parked in the new generation and not in the live one, first ${first.streamId} ` +
      `at revision ${first.revision}: ${first.cause}`,
  ];
}
