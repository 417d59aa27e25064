import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool } from 'pg';
import type { EventStore } from '../../event-store/event-store';
import { comparePositions } from '../../events/position';
import type { Position } from '../../events/position';
import { liveGeneration } from '../../projector/generations';

/** A build that waited longer than this before each of its pages would hardly end beside a live generation that lags. */
const PATIENCE_MS = 500;
const LOOK_EVERY_MS = 10;

export interface GiveWayOptions {
  readonly pool: Pool;
  readonly store: EventStore;
  /** The longest wait for the live generation before a step of a build, in milliseconds. (Default: 500) */
  readonly patienceMs?: number;
}

/**
 * Lets the live generation go first. What it answers is asked before each step of a build, and resolves when the live
 * generation has come to where the log ended at the call. So a build takes the processors and the disk that serving and
 * projecting leave; while they leave none, it goes on at the pace of its patience. It does not wait for a live generation
 * that nobody brings forward.
 */
export function giveWayToLive({
  pool,
  store,
  patienceMs = PATIENCE_MS,
}: GiveWayOptions): () => Promise<void> {
  let gaveUpAt: Position | null = null;
  return async () => {
    const deadline = performance.now() + patienceMs;
    const end = await store.tail();
    for (;;) {
      const live = await liveGeneration(pool);
      if (!live || comparePositions(live.checkpoint, end) >= 0) return;
      if (gaveUpAt && comparePositions(live.checkpoint, gaveUpAt) === 0) return;
      if (performance.now() >= deadline) {
        gaveUpAt = live.checkpoint;
        return;
      }
      await sleep(LOOK_EVERY_MS);
    }
  };
}
