import { Client } from 'pg';
import type { Pool } from 'pg';
import { connectionConfig } from '../db/connection-config';
import { sleep, unlessAborted } from '../tools/abortable';

export interface WakeUpOptions {
  /** Where to connect to; the pool itself gives none of its connections away. */
  readonly pool: Pool;
  readonly channel: string;
  /** The longest a waiter sleeps without a notification. (Default: 1000) */
  readonly pollMs?: number;
  /** Told what a notification says, before the waiters wake. */
  readonly onNotification?: (payload: string) => void;
  /** Told of every broken LISTEN connection; waiters go on by polling. */
  readonly onError: (error: Error) => void;
}

/**
 * Waiting for something to change in the database: ends on a notification, or when the poll is due. A wake-up says
 * "look again", never "there is something". One connection serves all waiters.
 */
export interface WakeUp {
  /** Taken before looking and given to `wait`, so that a notification between the two is not lost. */
  mark(): number;
  /**
   * Resolves on a notification after `since` (default: now), after `timeoutMs` (default: the poll interval), or when
   * `signal` aborts; it rejects only after `close`.
   */
  wait(signal: AbortSignal, timeoutMs?: number, since?: number): Promise<void>;
  /** Wakes all waiters and closes the connection. */
  close(): Promise<void>;
}

const DEFAULT_POLL_MS = 1_000;
const FIRST_BACK_OFF_MS = 100;
const LONGEST_BACK_OFF_MS = 10_000;

/** Connects at the first `wait`; reconnects with back-off for as long as it is not closed. */
export function createWakeUp({
  pool,
  channel,
  pollMs = DEFAULT_POLL_MS,
  onNotification = () => undefined,
  onError,
}: WakeUpOptions): WakeUp {
  const closing = new AbortController();
  const waiters = new Set<() => void>();
  let wakeUps = 0;
  let listening: Promise<void> | undefined;

  function wakeAll(): void {
    wakeUps += 1;
    for (const wake of [...waiters]) wake();
  }

  return {
    mark: () => wakeUps,

    async wait(signal, timeoutMs = pollMs, since = wakeUps) {
      if (closing.signal.aborted) throw new Error(`wait on channel ${channel} after its wake-up was closed`);
      listening ??= keepListening({
        pool,
        channel,
        onNotification,
        wakeAll,
        onError,
        signal: closing.signal,
      });
      if (signal.aborted || wakeUps !== since) return;
      await sleep(timeoutMs, signal, waiters);
    },

    async close() {
      closing.abort();
      wakeAll();
      await listening;
    },
  };
}

interface Listening {
  readonly pool: Pool;
  readonly channel: string;
  readonly onNotification: (payload: string) => void;
  readonly wakeAll: () => void;
  readonly onError: (error: Error) => void;
  readonly signal: AbortSignal;
}

async function keepListening(options: Listening): Promise<void> {
  const { pool, channel, onNotification, wakeAll, onError, signal } = options;
  let failures = 0;
  while (!signal.aborted) {
    const client = new Client(connectionConfig(pool));
    const broken = new Promise<Error>((resolve) => {
      client.on('error', resolve);
      client.on('end', () => resolve(new Error('the server closed the connection')));
    });
    try {
      await client.connect();
      client.on('notification', ({ payload }) => {
        onNotification(payload ?? '');
        wakeAll();
      });
      await client.query(`LISTEN ${client.escapeIdentifier(channel)}`);
      failures = 0;
      // What was notified while nobody listened is not repeated.
      wakeAll();
      const error = await unlessAborted(broken, signal);
      if (error) throw error;
    } catch (cause) {
      failures += 1;
      if (!signal.aborted)
        onError(new Error(`LISTEN ${channel} broke (${String(cause)}); polling until it is back`, { cause }));
    } finally {
      await client.end().catch(onError);
    }
    const longest = Math.min(LONGEST_BACK_OFF_MS, FIRST_BACK_OFF_MS * 2 ** failures);
    await sleep(longest * (0.5 + Math.random() / 2), signal);
  }
}
