import { sleep } from '../event-store/abortable';
import type { ProjectorOptions } from '../projector/generation-projector';
import { isOfSurfaces, listGenerations } from '../projector/generations';
import type { Generation } from '../projector/generations';
import type { Lease } from '../projector/lease';
import { judgeFor } from '../projector/live-classification';
import { FencedError } from '../projector/run-folding';
import type { Surface } from '../projector/surface';
import { ReplayEndedError } from './building';
import { buildGeneration } from './generation-build';

/** Makes a generation ready, or stops when `signal` aborts. Throws what `buildGeneration` throws. */
export type Build = (generation: Generation, signal: AbortSignal) => Promise<void>;

/** Builds on the thread that asks for it. */
export function buildHere(options: Omit<ProjectorOptions, 'judge'>): Build {
  return async (generation, signal) =>
    buildGeneration(generation.id, { ...options, judge: await judgeFor(options.pool, generation) }, signal);
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

/** Builds every generation that waits for it and that no other process is building, one after the other, for ever. */
export async function runReplayWorker(options: ReplayWorkerOptions, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      const waiting = (await listGenerations(options.pool)).filter(
        // While versions are mixed, another binary's tables are not ours to write.
        (one) => one.state === 'building' && isOfSurfaces(one, options.surfaces),
      );
      for (const generation of waiting) if (!signal.aborted) await buildIfFree(generation, options, signal);
    } catch (error) {
      options.log.error({ err: error }, 'replays could not be looked after; it will be tried again');
    }
    await sleep(options.lookEveryMs ?? LOOK_EVERY_MS, signal);
  }
}

/**
 * Builds a generation unless another process is at it; answers whether it did. A replay that fails stays `building` with
 * its failure written down, and is tried again: what was folded is not folded twice.
 */
export async function buildIfFree(
  generation: Generation,
  options: BuilderOptions,
  signal: AbortSignal,
): Promise<boolean> {
  const lease = options.leaseFor(`replay-${generation.id}`);
  if (!(await lease.hold())) return false;
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
  } catch (error) {
    // Fenced: its state or its checkpoint was changed by somebody else, as an abort does.
    if (error instanceof ReplayEndedError || error instanceof FencedError) {
      options.log.info({ generation: generation.id, reason: error.message }, 'replay ended');
      return true;
    }
    options.log.error({ generation: generation.id, err: error }, 'a replay failed; it will be tried again');
    await options.pool.query(
      `update opstruth.generations set failure = $2 where id = $1 and state = 'building'`,
      [generation.id, (error as Error).message],
    );
  } finally {
    clearInterval(renewal);
    await lease.release();
  }
  return true;
}
