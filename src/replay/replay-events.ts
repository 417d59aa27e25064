import { sleep } from '../tools/abortable';
import type { ReplayStatus } from './replay-status';

/** The injection token of `ReplayEventsTiming`; absent: the default. */
export const REPLAY_EVENTS_TIMING = Symbol('ReplayEventsTiming');

export interface ReplayEventsTiming {
  readonly everyMs: number;
  /** Looks without news after which a comment goes out, so that no proxy takes the connection for dead. */
  readonly quietLooks: number;
}

export const DEFAULT_REPLAY_EVENTS_TIMING: ReplayEventsTiming = { everyMs: 1_000, quietLooks: 15 };

/**
 * A replay as server-sent events: `progress` whenever its row has moved, looked at every `everyMs`, then one of `ready`,
 * `failed` or `ended`, which is the last. One query per look, whatever the number of events replayed. Ends early when
 * `signal` aborts or the replay is gone.
 */
export async function* replayEvents(
  look: () => Promise<ReplayStatus | null>,
  { everyMs, quietLooks }: ReplayEventsTiming,
  signal: AbortSignal,
): AsyncGenerator<string, void> {
  let told = '';
  let quiet = 0;
  while (!signal.aborted) {
    const status = await look();
    if (!status) return;
    if (status.state !== 'building') {
      yield eventText(lastEventOf(status.state), status);
      return;
    }
    const moved = whatMoves(status);
    if (moved !== told) {
      yield eventText('progress', status);
      [told, quiet] = [moved, 0];
    } else if (++quiet === quietLooks) {
      yield ': still building\n\n';
      quiet = 0;
    }
    await sleep(everyMs, signal);
  }
}

function lastEventOf(state: ReplayStatus['state']): string {
  return state === 'ready' || state === 'failed' ? state : 'ended';
}

/** Without what merely follows from the passing of time. */
export function whatMoves({ state, phase, done, total, builtBy, failure }: ReplayStatus): string {
  return JSON.stringify([state, phase, done, total, builtBy, failure]);
}

function eventText(event: string, status: ReplayStatus): string {
  return `event: ${event}\ndata: ${JSON.stringify(status)}\n\n`;
}
