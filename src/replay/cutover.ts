import type { Pool } from 'pg';
import { foundWrongIn } from '../audit/audit-results';
import { counted } from '../tools/counted';
import { sleep, unlessAborted } from '../tools/abortable';
import type { Instant } from '../events/instant';
import { comparePositions, START } from '../events/position';
import type { Position } from '../events/position';
import { catchUp } from '../projector/generation-projector';
import { generationById, isHistorical, listGenerations } from '../projector/generations';
import type { Generation } from '../projector/generations';
import { judgeFor } from '../projector/live-classification';
import { listParked, loadParkedStreams } from '../projector/parked-streams';
import { CheckpointBeyondTailError, FencedError, ParkedLimitError } from '../projector/run-folding';
import { lastSwitch, recordAudit } from './audit-entries';
import { diffGenerations } from './generation-diff';
import type { OperatorContext } from './operator-context';
import {
  asOnlyOperator,
  behindLive,
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
interface FromTo {
  readonly from: number;
  readonly to: number;
}

export interface RollBack extends FromTo {
  /** What to know of the generation that is gone back to. Nothing keeps anybody from going back. */
  readonly warnings: readonly string[];
}

/** Who rolls back so soon after a rollback has most likely not seen it. */
const JUST_NOW_SECONDS = 10;
const SWITCH_ATTEMPTS = 4;
/** Followers of a busy log drift seconds apart; an operator would rather wait than be told to try again. */
const NEAR_AT_MOST_MS = 15_000;
/** Who follows a generation moves it every 100 ms while there is something to move it to (OTHERS_PACE_MS). */
const FOLLOWED_WITHIN_MS = 300;
const LOOK_EVERY_MS = 50;
/** While everybody waits for it. */
const LOOK_HELD_EVERY_MS = 10;
/** The rest is a few events. More than that is a database that does not answer, and the live generation must go on. */
const HELD_AT_MOST_MS = 1_000;
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
  const objections = [
    ...gateObjections(comparison, gate),
    ...(await faultObjections(context.pool, live, next)),
  ];
  return { from: live.id, to: id, comparison, objections };
}

/** What may come up at any time, and is quickly looked for. */
async function faultObjections(db: Queries, live: Generation, next: Generation): Promise<string[]> {
  return [...(await parkedObjections(db, live, next)), ...(await foundWrong(db, next))];
}

/**
 * Makes a ready generation live. Refused (`cutover_refused`) while objections stand, unless forced with a reason, which is kept.
 * The switch itself is one short transaction, in which the live generation stands still and the new one is brought level.
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
  let { objections } = check;
  const refuse = () => {
    if (objections.length === 0 || request.force) return;
    throw new ReplayRefusedError('cutover_refused', `the cutover to generation ${id} is refused`, objections);
  };
  refuse();
  const step: Switch = {
    // What was compared is what is switched: not with another generation that went live meanwhile.
    from: check.from,
    to: id,
    allowed: ['ready'],
    verb: 'cut over to',
    action: 'replay.cutover',
    // On its last steps to where the live one stands the new generation may have met what it cannot apply.
    async lastLook(db, live, next) {
      objections = [...new Set([...check.objections, ...(await faultObjections(db, live, next))])];
      refuse();
    },
    details: () => ({
      changedPercent: check.comparison.changedPercent,
      maxChangePercent: request.gate.maxChangePercent,
      forced: objections,
    }),
  };
  await switchWhenLevel(context, step, operator);
  return { ...check, objections };
}

/**
 * Goes back to the generation that was live before. Of two who do so at once the second would undo what the first did, and is
 * refused: when another than `from`, or than the one found here, is live at the switch, and, where `from` is not given, just
 * after a rollback.
 */
export async function rollBack(context: OperatorContext, asking: Operator, from?: number): Promise<RollBack> {
  const operator = withReason(asking);
  const wanted = await previewRollBack(context, from);
  const { from: live, to } = wanted;
  const step = { allowed: ['standby'], verb: 'roll back to', action: 'replay.rollback' } as const;
  await switchWhenLevel(context, { from: live, to, ...step }, operator);
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
  if (from === undefined) await refuseSecondRollBack(context);
  return { from: live.id, to: back.id, warnings: await foundWrong(context.pool, back) };
}

async function refuseSecondRollBack({ pool }: OperatorContext): Promise<void> {
  const last = await lastSwitch(pool);
  if (last?.action !== 'replay.rollback' || last.secondsAgo > JUST_NOW_SECONDS) return;
  throw new ReplayRefusedError(
    'wrong_state',
    `${last.actor} rolled back from generation ${last.from} to ${last.to} ${counted(Math.round(last.secondsAgo), 'second')} ago: ` +
      `to go forward again, say that you mean to leave ${last.to} (--from ${last.to})`,
  );
}

interface Switch extends FromTo {
  /** The states that `to` may be in. */
  readonly allowed: readonly Generation['state'][];
  readonly verb: string;
  readonly action: string;
  /** Once `to` is where `from` stands, and neither moves: throws what speaks against the switch. */
  readonly lastLook?: (db: Queries, from: Generation, to: Generation) => Promise<void>;
  /** For the audit entry, beside `from`; asked for after the last look. */
  readonly details?: () => object;
}

type Queries = Pick<Pool, 'query'>;

async function switchWhenLevel(context: OperatorContext, step: Switch, operator: Operator): Promise<void> {
  const deadline = performance.now() + NEAR_AT_MOST_MS;
  for (let attempt = 1; ; attempt++) {
    const isFollowed = await comeNear(context, step, deadline);
    try {
      await switchHeld(context, { ...step, isFollowed }, operator);
      return;
    } catch (error) {
      const behind = error instanceof ReplayRefusedError && error.code === 'not_caught_up';
      if (!behind || attempt === SWITCH_ATTEMPTS) throw error;
    }
  }
}

/**
 * With nothing locked, until `to` comes to where `from` is as fast as whoever follows it moves it: the live generation is not
 * held for what is much. A projector that follows it is left to it. Where nobody does (it is another version's, or has no
 * projector) it is done here, and the answer is false. Refused (`not_caught_up`) at `deadline`.
 */
async function comeNear(
  context: OperatorContext,
  { from, to, allowed }: Switch,
  deadline: number,
): Promise<boolean> {
  const { pool } = context;
  let isFollowed = true;
  for (;;) {
    const goal = (await generationById(pool, from))?.checkpoint;
    const askedAt = performance.now();
    let moved = { to: START, at: askedAt };
    for (;;) {
      const next = await generationById(pool, to);
      // Whoever is not there, or in another state, is told of by the switch.
      if (!goal || !next || !allowed.includes(next.state)) return isFollowed;
      if (comparePositions(next.checkpoint, goal) >= 0) break;
      const now = performance.now();
      if (now >= deadline) throw behindLive(next, goal);
      if (comparePositions(next.checkpoint, moved.to) !== 0) moved = { to: next.checkpoint, at: now };
      if (isFollowed && now - moved.at < FOLLOWED_WITHIN_MS)
        await sleep(LOOK_EVERY_MS, new AbortController().signal);
      else {
        isFollowed = !(await bringOn(context, next, goal, AbortSignal.timeout(Math.ceil(deadline - now))));
        if (!isFollowed) break;
      }
    }
    if (performance.now() - askedAt <= FOLLOWED_WITHIN_MS) return isFollowed;
  }
}

/**
 * Switches in one transaction. It locks the row of the live generation, so that its next batch waits, and brings the other
 * to where that one stands: on a busy log, two that are followed at a pace of their own are hardly ever level by themselves. Whoever
 * follows the other has its runs at hand and is waited for first; to catch up here takes longer, and that memory from it.
 */
async function switchHeld(
  context: OperatorContext,
  {
    from,
    to,
    allowed,
    verb,
    action,
    lastLook,
    details,
    isFollowed,
  }: Switch & { readonly isFollowed: boolean },
  operator: Operator,
): Promise<void> {
  let bringing: Promise<void> | undefined;
  try {
    await asOnlyOperator(context, async (client) => {
      const held = await lockGenerations(client, [from]);
      const goal = requireStillLive(held, from).checkpoint;
      const isBehind = comparePositions(stateOf(held, to, allowed, verb).checkpoint, goal) < 0;
      if (isBehind && !(isFollowed && (await comesLevel(client, to, goal)))) {
        // On other connections, for which there may be none: it must end although they wait for this transaction.
        const atMost = AbortSignal.timeout(HELD_AT_MOST_MS);
        bringing = bringLevel(context, to, goal, atMost);
        await unlessAborted(bringing, atMost);
      }
      const generations = await lockGenerations(client, [from, to]);
      const next = stateOf(generations, to, allowed, verb);
      await lastLook?.(client, liveOf(generations), next);
      await switchLive(client, generations, next);
      await recordAudit(client, { ...operator, action, generation: to, details: { from, ...details?.() } });
    });
  } finally {
    await bringing?.catch(() => undefined);
  }
}

/**
 * Whether whoever follows a generation brings it to `goal` within the time in which a follower moves it. Asked on the connection
 * that holds the live generation: there may be no other, and everybody waits.
 */
async function comesLevel(db: Queries, id: number, goal: Position): Promise<boolean> {
  const until = AbortSignal.timeout(FOLLOWED_WITHIN_MS);
  while (!until.aborted) {
    const next = await generationById(db, id);
    if (!next || comparePositions(next.checkpoint, goal) >= 0) return true;
    await sleep(LOOK_HELD_EVERY_MS, until);
  }
  return false;
}

async function bringLevel(
  context: OperatorContext,
  id: number,
  goal: Position,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const next = await generationById(context.pool, id);
    if (!next || comparePositions(next.checkpoint, goal) >= 0) return;
    if (await bringOn(context, next, goal, signal)) return;
  }
}

/** Catches up with a generation as far as `goal`. False when another was found to do so, and is further. */
async function bringOn(
  { pool, store, surfaces }: OperatorContext,
  generation: Generation,
  goal: Position,
  signal?: AbortSignal,
): Promise<boolean> {
  try {
    const judge = await judgeFor(pool, generation);
    const options = { pool, store, surfaces, judge, batchSize: EVENTS_PER_BATCH };
    await catchUp(generation.id, { ...options, upTo: goal }, signal);
    return true;
  } catch (error) {
    if (error instanceof FencedError) return false;
    if (error instanceof ParkedLimitError || error instanceof CheckpointBeyondTailError)
      throw new ReplayRefusedError('wrong_state', error.message);
    throw error;
  }
}

function requireStillLive(generations: readonly Generation[], from: number): Generation {
  const live = liveOf(generations);
  if (live.id !== from)
    throw new ReplayRefusedError('wrong_state', `generation ${from} is no longer live: ${live.id} is`);
  return live;
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

async function foundWrong(db: Queries, generation: Generation): Promise<string[]> {
  const wrong = await foundWrongIn(db, generation);
  if (wrong === null) return [];
  const copied = wrong === generation.id ? '' : `, of which ${generation.id} is a copy`;
  return [`an audit has found wrong rows in generation ${wrong}${copied}, see \`opstruth status\``];
}

async function parkedObjections(db: Queries, live: Generation, next: Generation): Promise<string[]> {
  const old = await loadParkedStreams(db, live.schema);
  const fresh = (await listParked(db, next)).filter(({ streamId }) => !old.streams.has(streamId));
  const [first] = fresh;
  if (!first) return [];
  return [
    `${counted(fresh.length, 'stream is', 'streams are')} parked in the new generation and not in the live one, first ${first.streamId} ` +
      `at revision ${first.revision}: ${first.cause}`,
  ];
}
