import { randomUUID } from 'node:crypto';
import { sleep } from '../tools/abortable';
import { createLease } from '../projector/lease';
import { buildHere, buildIfFree } from '../replay/replay-worker';
import { lowerPriority } from '../replay/build/low-priority';
import { whatMoves } from '../replay/replay-events';
import { replayStatus } from '../replay/replay-status';
import type { ReplayStatus } from '../replay/replay-status';
import { requireGeneration } from '../replay/replays';
import { projectorOptions } from '../runtime/runtime';
import type { Output, Progress } from './output';
import type { Desk } from './replay-desk';
import { stopSignal } from './stop-signal';

const LOOK_EVERY_MS = 500;
/** As long as the servers' own, so that neither waits longer for the other than for one of its kind. */
const LEASE_TTL_SECONDS = 5;

/**
 * Builds a replay here, or shows how far the process is that got there first, and takes over should that one go. Answers
 * the status it ends with: still `building` after Ctrl-C or a failure, and then what was folded stays folded.
 */
export async function buildOrFollow(output: Output, desk: Desk, id: number): Promise<ReplayStatus> {
  const { runtime, context } = desk;
  const generation = await requireGeneration(context, id);
  lowerPriority();
  const stopping = new AbortController();
  const { signal } = stopping;
  void stopSignal().then(() => stopping.abort());
  const holder = `replay:${randomUUID()}`;
  const options = {
    pool: context.pool,
    build: buildHere(projectorOptions(runtime)),
    leaseFor: (name: string) => createLease(context.pool, name, holder, LEASE_TTL_SECONDS),
    leaseTtlSeconds: LEASE_TTL_SECONDS,
    // What goes wrong is written down in the generation's row, and told from there.
    log: { info: () => undefined, error: () => undefined },
  };
  const shown = await showProgress(output, desk, id);
  try {
    for (;;) {
      const outcome = await buildIfFree(generation, options, signal);
      const status = await look(desk, id);
      if (outcome === 'failed' || status.state !== 'building' || signal.aborted) return status;
      // Another process is at it, or has taken over from this one while it was paused.
      await sleep(LOOK_EVERY_MS, signal);
    }
  } finally {
    await shown.stop();
  }
}

/** Shows how far the building is until it is stopped: a person by bars, a program by lines. */
async function showProgress(output: Output, desk: Desk, id: number) {
  const ending = new AbortController();
  const shown = output.json ? progressLines() : progressBars(output, id);
  shown.show(await look(desk, id));
  const showing = (async () => {
    while (!ending.signal.aborted) {
      shown.show(await look(desk, id));
      await sleep(LOOK_EVERY_MS, ending.signal);
    }
  })();
  showing.catch(() => undefined); // the build tells of a database that is gone
  return {
    async stop() {
      ending.abort();
      await Promise.allSettled([showing]);
      shown.stop();
    },
  };
}

/**
 * One bar a phase, and another where a phase begins anew, as loading does after a kill. Rate and time left are those of this
 * sitting: what an earlier one has done does not count as done.
 */
export function progressBars(output: Output, id: number) {
  let shown: { readonly phase: string; readonly before: number; readonly bar: Progress } | null = null;
  return {
    show({ phase, unit, done, total }: Pick<ReplayStatus, 'phase' | 'unit' | 'done' | 'total'>) {
      // The other phases have no figures of their own.
      const measured = phase === 'folding' || phase === 'loading' || phase === 'judging';
      if (shown?.phase !== phase || done < shown.before) {
        shown?.bar.stop();
        const left = measured ? Math.max(0, total - done) : 0;
        shown = { phase, before: done, bar: output.progress(`generation ${id}: ${phase}`, unit, left) };
      }
      const { before, bar } = shown;
      bar.update(Math.max(0, done - before), { total: measured ? Math.max(0, total - before) : 0 });
    },
    stop: () => shown?.bar.stop(),
  };
}

/** The events of `GET replays/{id}/events`, one a line on standard error: standard output is for the result alone. */
function progressLines() {
  let told = '';
  return {
    show(status: ReplayStatus) {
      const moved = whatMoves(status);
      if (moved === told) return;
      told = moved;
      process.stderr.write(`${JSON.stringify({ progress: status })}\n`);
    },
    stop: () => undefined,
  };
}

async function look({ context }: Desk, id: number): Promise<ReplayStatus> {
  const status = await replayStatus(context.pool, id);
  if (!status) throw new Error(`generation ${id} has left the registry while it was looked at`);
  return status;
}
