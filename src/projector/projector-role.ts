import type { Judge } from '../domain/classification';
import { sleep } from '../tools/abortable';
import { Outage } from '../tools/outage';
import { projectGeneration } from './generation-projector';
import type { AppliedBatch, FollowingOptions, ProjectorOptions } from './generation-projector';
import { followsLog, hasOtherTables, isOfSurfaces, listGenerations, liveGeneration } from './generations';
import type { Generation } from './generations';
import type { Lease } from './lease';
import { CheckpointBeyondTailError, FencedError, ParkedLimitError } from './run-folding';

export interface ProjectorRoleOptions extends Omit<ProjectorOptions, 'judge'> {
  readonly lease: Lease;
  readonly leaseTtlSeconds: number;
  readonly judgeFor: (generation: Generation) => Promise<Judge>;
  /** How often the list of generations is looked at. A switch of the live one needs no look: all of them are followed. */
  readonly lookEveryMs?: number;
  readonly log: {
    info(fields: object, message: string): void;
    error(fields: object, message: string): void;
  };
}

/** What the process can say of its projector; the database says the rest (checkpoints, lag). */
export interface ProjectorHealth {
  holdsLease: boolean;
  /** Why a generation is not projected at the moment, until a batch of it gets through again. */
  readonly errors: Map<number, Error>;
}

/** What a reader of the live generation waits longer, at the most, so that a batch is worth its cost. */
const LIVE_PACE_MS = 25;
/** Nobody reads the others. One that moves no more for three times as long is followed by nobody: see FOLLOWED_WITHIN_MS. */
const OTHERS_PACE_MS = 100;

const LOOK_EVERY_MS = 500;
const FIRST_BACK_OFF_MS = 200;
const LONGEST_BACK_OFF_MS = 15_000;

export function createProjectorHealth(): ProjectorHealth {
  return { holdsLease: false, errors: new Map() };
}

/**
 * Keeps every generation that is live, ready or standby up with the log for as long as this process holds the lease, and
 * stands by for the lease otherwise. While the live generation is another version's it leaves the lease to a projector of
 * that version. Never gives up: what fails is in `health`, in the log, and tried again.
 */
export async function runProjectorRole(
  options: ProjectorRoleOptions,
  health: ProjectorHealth,
  signal: AbortSignal,
): Promise<void> {
  const { pool, surfaces, lease, log } = options;
  const renewEveryMs = (options.leaseTtlSeconds * 1000) / 3;
  const outage = new Outage(log, 'the projector lease could not be looked after; it will be tried again');
  /** The live generation that this process stands by for. */
  let anothers: number | null = null;
  while (!signal.aborted) {
    try {
      const live = await liveGeneration(pool);
      if (live && !isOfSurfaces(live, surfaces)) {
        if (live.id !== anothers) log.info({ generation: live.id }, standsByFor(live));
        anothers = live.id;
        if (health.holdsLease) await lease.release();
        health.holdsLease = false;
      } else {
        if (anothers !== null) log.info({}, 'the live generation is of this version again; taking part');
        anothers = null;
        health.holdsLease = await lease.hold();
        outage.worked();
        if (health.holdsLease) await projectWhileHeld(options, health, renewEveryMs, signal);
        // It was not lost: another version's generation has gone live, and that version waits for it.
        if (health.holdsLease) continue;
      }
    } catch (error) {
      // The database cannot be asked: nobody knows who holds the lease, and every batch fails by itself.
      health.holdsLease = false;
      outage.failed(error);
    }
    if (!signal.aborted) await sleep(renewEveryMs, signal);
  }
  // If the database is gone the lease runs out by itself.
  if (health.holdsLease) await lease.release().catch(() => undefined);
  health.holdsLease = false;
}

function standsByFor(live: Generation): string {
  return `${hasOtherTables(live)} and is live: standing by without the lease, which is for a projector of that version`;
}

/** Follows generations until the lease is lost, the live one is another version's, or `signal` aborts. */
async function projectWhileHeld(
  options: ProjectorRoleOptions,
  health: ProjectorHealth,
  renewEveryMs: number,
  signal: AbortSignal,
): Promise<void> {
  const ending = new AbortController();
  const until = AbortSignal.any([signal, ending.signal]);
  const following = followGenerations(options, health, until).finally(() => ending.abort());
  try {
    while (!until.aborted) {
      await sleep(renewEveryMs, until);
      if (until.aborted) break;
      health.holdsLease = await options.lease.hold();
      if (health.holdsLease) continue;
      options.log.info({}, 'the projector lease went to another process; standing by');
      break;
    }
  } finally {
    ending.abort();
    await following;
  }
}

interface Follower {
  readonly ending: AbortController;
  readonly done: Promise<void>;
}

/**
 * One follower per generation; they come and go with the list of generations. Ends when the live one is another version's:
 * whoever follows the others only would keep a projector of that version from it. Never rejects.
 */
async function followGenerations(
  options: ProjectorRoleOptions,
  health: ProjectorHealth,
  signal: AbortSignal,
): Promise<void> {
  const followers = new Map<number, Follower>();
  let live: Generation | undefined;
  while (!signal.aborted) {
    try {
      const generations = await listGenerations(options.pool);
      live = generations.find(({ state }) => state === 'live');
      if (live && !isOfSurfaces(live, options.surfaces)) break;
      const wanted = new Map(
        generations.filter((one) => followsLog(one, options.surfaces)).map((one) => [one.id, one]),
      );
      for (const [id, { ending }] of followers) if (!wanted.has(id)) ending.abort();
      for (const generation of wanted.values()) {
        if (followers.has(generation.id)) continue;
        const ending = new AbortController();
        const until = AbortSignal.any([signal, ending.signal]);
        const { id } = generation;
        const paceMs = () => (id === live?.id ? LIVE_PACE_MS : OTHERS_PACE_MS);
        const done = follow(generation, { ...options, paceMs }, health, until).finally(() =>
          followers.delete(id),
        );
        followers.set(id, { ending, done });
      }
    } catch (error) {
      options.log.error({ err: error }, 'the list of generations could not be read; it will be tried again');
    }
    await sleep(options.lookEveryMs ?? LOOK_EVERY_MS, signal);
  }
  for (const { ending } of followers.values()) ending.abort();
  await Promise.allSettled([...followers.values()].map(({ done }) => done));
}

/** Projects one generation until `signal` aborts, starting over after whatever fails. */
async function follow(
  generation: Generation,
  options: ProjectorRoleOptions & Pick<FollowingOptions, 'paceMs'>,
  health: ProjectorHealth,
  signal: AbortSignal,
): Promise<void> {
  const { id } = generation;
  let failures = 0;
  const onBatch = (batch: AppliedBatch) => {
    failures = 0;
    health.errors.delete(id);
    options.onBatch?.(batch);
  };
  while (!signal.aborted) {
    try {
      await projectGeneration(id, { ...options, judge: await options.judgeFor(generation), onBatch }, signal);
    } catch (error) {
      failures += 1;
      // Fenced is no fault: whoever moved the checkpoint is done, and memory is rebuilt from it at once.
      if (error instanceof FencedError) {
        options.log.info({ generation: id, reason: error.message }, 'projector starts over');
        if (failures <= 3) continue;
      } else {
        health.errors.set(id, error as Error);
        options.log.error(
          { generation: id, err: error, failures },
          'projecting failed; it will be tried again',
        );
      }
      await sleep(backOffMs(error, failures), signal);
    }
  }
  health.errors.delete(id);
}

function backOffMs(error: unknown, failures: number): number {
  // These two need a person: trying often would only bury the log.
  if (error instanceof CheckpointBeyondTailError || error instanceof ParkedLimitError)
    return LONGEST_BACK_OFF_MS;
  const longest = Math.min(LONGEST_BACK_OFF_MS, FIRST_BACK_OFF_MS * 2 ** failures);
  return longest * (0.5 + Math.random() / 2);
}
