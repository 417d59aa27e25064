import { sleep } from '../tools/abortable';
import { Outage } from '../tools/outage';
import type { ProjectorOptions } from '../projector/generation-projector';
import { isHistorical, isOfSurfaces, listGenerations } from '../projector/generations';
import type { Generation } from '../projector/generations';
import type { Lease } from '../projector/lease';
import { judgeFor } from '../projector/live-classification';
import { FencedError } from '../projector/run-folding';
import type { Surface } from '../projector/surface';
import { ReplayEndedError } from './build/building';
import { dropLeftTables } from './build/drop-tables';
import { buildGeneration } from './build/generation-build';
import { buildLease } from './replay-status';

/** Makes a generation ready, or stops when `signal` aborts. Throws what `buildGeneration` throws. */
export type Build = (generation: Generation, signal: AbortSignal) => Promise<void>;

/** Builds in the process that asks for it. */
export function buildHere(options: Omit<ProjectorOptions, 'judge'>): Build {
  return async (generation, signal) =>
    buildGeneration(generation.id, { ...options, judge: await judgeFor(options.pool, generation) }, signal);
}

/** Whether a build failed because somebody else changed its state or its checkpoint, as an abort does. */
export function isEnded(error: unknown): error is ReplayEndedError | FencedError {
  return error instanceof ReplayEndedError || error instanceof FencedError;
}

export interface BuilderOptions extends Pick<ProjectorOptions, 'pool'> {
  readonly build: Build;
  readonly leaseFor: (name: string) => Lease;
  readonly leaseTtlSeconds: number;
  readonly log: {
    info(fields: object, message: string): void;
    error(fields: object, message: string): void;
  };
}

export interface ReplayWorkerOptions extends BuilderOptions {
  readonly surfaces: readonly Surface[];
  readonly lookEveryMs?: number;
}

const LOOK_EVERY_MS = 1_000;
const LONGEST_REST_MS = 60_000;

/**
 * Builds every generation that waits for it and that no other process is building, one after the other, for ever: those
 * that are to go live first. Drops
 * what is left of those that were ended.
 */
export async function runReplayWorker(options: ReplayWorkerOptions, signal: AbortSignal): Promise<void> {
  const { lookEveryMs = LOOK_EVERY_MS } = options;
  const outage = new Outage(options.log, 'replays could not be looked after; it will be tried again');
  const failed = new Map<number, Failed>();
  while (!signal.aborted) {
    try {
      const generations = await listGenerations(options.pool);
      for (const generation of waiting(generations, options.surfaces)) {
        const last = failed.get(generation.id);
        if (signal.aborted || performance.now() < (last?.restsUntil ?? 0)) continue;
        // What has come further since is not what fails each time.
        const times = last && last.stoodAt === standsAt(generation) ? last.times : 0;
        const outcome = await buildIfFree(generation, options, signal);
        if (outcome !== 'failed') failed.delete(generation.id);
        else {
          // What fails each time would fail each second, and take half a second of a processor for it.
          const restMs = Math.min(LONGEST_REST_MS, lookEveryMs * 2 ** times);
          failed.set(generation.id, {
            times: times + 1,
            stoodAt: standsAt(generation),
            restsUntil: performance.now() + restMs,
          });
        }
        // A build takes minutes: what has come meanwhile may go first.
        if (outcome === 'built') break;
      }
      for (const generation of await dropLeftTables(options.pool, generations))
        options.log.info({ generation }, 'tables that were left when a generation was ended are dropped');
      outage.worked();
    } catch (error) {
      outage.failed(error);
    }
    await sleep(lookEveryMs, signal);
  }
}

/** A build's last failures. */
interface Failed {
  /** One after the other, without any progress. */
  readonly times: number;
  readonly stoodAt: string;
  readonly restsUntil: number;
}

/** How far it was when an attempt began. */
function standsAt({ phase, eventsApplied, workDone }: Generation): string {
  return `${phase} ${eventsApplied} ${workDone}`;
}

/** Those that are to go live before those that look back, of which there may be many. */
function waiting(generations: readonly Generation[], surfaces: readonly Surface[]): Generation[] {
  return (
    generations
      // While versions are mixed, another binary's tables are not ours to write.
      .filter((one) => one.state === 'building' && isOfSurfaces(one, surfaces))
      .sort((a, b) => Number(isHistorical(a)) - Number(isHistorical(b)) || a.id - b.id)
  );
}

/** `built`: until it was ready, or somebody ended it or asked to stop. */
export type BuildOutcome = 'busy' | 'built' | 'failed';

/**
 * Builds a generation unless another process is at it (`busy`). A replay that fails stays `building` with its failure
 * written down, and is to be tried again: what was folded is not folded twice.
 */
export async function buildIfFree(
  generation: Generation,
  options: BuilderOptions,
  signal: AbortSignal,
): Promise<BuildOutcome> {
  const lease = options.leaseFor(buildLease(generation.id));
  if (!(await lease.hold())) return 'busy';
  const ending = new AbortController();
  const until = AbortSignal.any([signal, ending.signal]);
  const renewal = setInterval(
    () =>
      void lease.hold().then(
        (held) => (held ? undefined : ending.abort()),
        () => ending.abort(),
      ),
    (options.leaseTtlSeconds * 1000) / 3,
  );
  try {
    await options.build(generation, until);
    if (!until.aborted) options.log.info({ generation: generation.id }, 'replay is ready');
    return 'built';
  } catch (error) {
    // What another process that has taken over did to this one's sessions is nothing that the replay failed of. Where the
    // lease cannot be asked for, the database is gone, and that is what it failed of.
    if (isEnded(error) || !(await lease.hold().catch(() => true))) {
      options.log.info({ generation: generation.id, reason: (error as Error).message }, 'replay ended');
      return 'built';
    }
    options.log.error({ generation: generation.id, err: error }, 'a replay failed; it will be tried again');
    await options.pool.query(
      `update opstruth.generations set failure = $2 where id = $1 and state = 'building'`,
      [generation.id, (error as Error).message],
    );
    return 'failed';
  } finally {
    clearInterval(renewal);
    await lease.release();
  }
}
