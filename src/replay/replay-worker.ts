import { sleep } from '../event-store/abortable';
import type { Judge } from '../domain/classification';
import { FencedError } from '../projector/run-folding';
import type { ProjectorOptions } from '../projector/generation-projector';
import { isOfSurfaces, listGenerations } from '../projector/generations';
import type { Generation } from '../projector/generations';
import type { Lease } from '../projector/lease';
import { buildGeneration } from './generation-build';
import { ReplayEndedError } from './building';

export interface ReplayWorkerOptions extends Omit<ProjectorOptions, 'judge'> {
  readonly judgeFor: (generation: Generation) => Promise<Judge>;
  readonly leaseFor: (name: string) => Lease;
  readonly leaseTtlSeconds: number;
  readonly lookEveryMs?: number;
  readonly log: {
    info(fields: object, message: string): void;
    error(fields: object, message: string): void;
  };
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
  options: ReplayWorkerOptions,
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
    await buildGeneration(generation.id, { ...options, judge: await options.judgeFor(generation) }, until);
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
