import { sleep } from '../tools/abortable';
import { LogClient } from './eventstoredb-client';
import { EventStoreUnavailableError } from './event-store';
import { EventStoreRefusedError, describe, isTransient } from './eventstoredb-errors';

export interface Connection {
  /** The client of the moment; another one after several failures. Throws once the connection is closed. */
  client(): LogClient;
  /**
   * Repeats `work` while it fails for reasons that pass, at most for `forMs`. Throws what `work` throws when it would
   * not pass, else EventStoreUnavailableError. `work` must be safe to repeat.
   */
  run<T>(what: string, forMs: number, work: (client: LogClient, attempt: number) => Promise<T>): Promise<T>;
  /** To be told of calls that `run` does not see; `begunAt` by `performance.now()`. */
  worked(client: LogClient): void;
  failed(client: LogClient, begunAt: number): void;
  close(): Promise<void>;
}

const FIRST_BACK_OFF_MS = 20;
const LONGEST_BACK_OFF_MS = 1_000;
/** Failures one after the other, without a success in between, before the client itself is suspected, and how old it must be by then. */
const FAILURES_OF_A_CLIENT = 3;
const YOUNGEST_SUSPECT_MS = 500;

/** Half of it is chance, so that many who failed at once do not come back at once. */
export function backOffMs(failures: number): number {
  return (
    Math.min(LONGEST_BACK_OFF_MS, FIRST_BACK_OFF_MS * 2 ** Math.min(failures, 16)) * (0.5 + Math.random() / 2)
  );
}

/** Keeps a working client: one at a time, made anew when it stays broken (a cached failure, a dead node of a cluster). */
export function createConnection(makeClient: () => LogClient): Connection {
  const closing = new AbortController();
  const ending = new Set<Promise<void>>();
  let current: { client: LogClient; bornAt: number; failures: number; failedAt: number } | undefined;

  const end = (client: LogClient) => {
    const ended = client
      .end()
      .catch(() => undefined)
      .finally(() => ending.delete(ended));
    ending.add(ended);
  };

  const connection: Connection = {
    client() {
      if (closing.signal.aborted) throw new EventStoreRefusedError('the event store is closed');
      current ??= { client: makeClient(), bornAt: performance.now(), failures: 0, failedAt: -Infinity };
      return current.client;
    },

    async run(what, forMs, work) {
      const giveUpAt = performance.now() + forMs;
      for (let attempt = 1; ; attempt++) {
        const client = connection.client();
        const begunAt = performance.now();
        try {
          const result = await work(client, attempt);
          connection.worked(client);
          return result;
        } catch (error) {
          if (!isTransient(error)) throw clear(what, error);
          connection.failed(client, begunAt);
          const waitMs = backOffMs(attempt);
          if (closing.signal.aborted || performance.now() + waitMs > giveUpAt)
            throw new EventStoreUnavailableError(
              `${what}: failed ${attempt} times, last with ${describe(error)}; see whether EventStoreDB is up and reachable`,
              { cause: error },
            );
          await sleep(waitMs, closing.signal);
        }
      }
    },

    worked(client) {
      if (current?.client === client) current.failures = 0;
    },

    failed(client, begunAt) {
      // What was in flight when a call failed mostly fails with it, for the same reason: once is enough.
      if (current?.client !== client || begunAt <= current.failedAt) return;
      current.failures += 1;
      current.failedAt = performance.now();
      if (current.failures < FAILURES_OF_A_CLIENT) return;
      if (performance.now() - current.bornAt < YOUNGEST_SUSPECT_MS) return;
      current = undefined;
      end(client);
    },

    async close() {
      closing.abort();
      if (current) end(current.client);
      current = undefined;
      await Promise.all(ending);
    },
  };
  return connection;
}

/** The client's errors carry a type and often no message; ours say by themselves what they are. */
function clear(what: string, error: unknown): Error {
  if (error instanceof Error && !('type' in error)) return error;
  return new EventStoreRefusedError(`${what}: ${describe(error)}`, { cause: error });
}
