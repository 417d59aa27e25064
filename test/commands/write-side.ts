import { randomUUID } from 'node:crypto';
import type { CommandEnvelope } from '../../src/commands/command-result';
import { RunCommandExecutor } from '../../src/commands/run-command-executor';
import type { RunCommand } from '../../src/domain/decider';
import type { Append, EventStore } from '../../src/event-store/event-store';
import { streamOf } from '../../src/events/operation-run-events';
import { judge } from '../domain/story';
import { createTestDatabase } from '../support/database';
import { createTestLog, openTestStore } from '../support/test-log';

/** A log of one's own, counted calls to it, and as many executors on it as there are processes to play. */
export async function createWriteSide() {
  const database = await createTestDatabase();
  const { log, close: closeLog } = await createTestLog();
  const store = openTestStore(log, database.pool);
  const calls = { appendMany: 0, readStream: 0, readStreams: 0 };
  const read = { events: 0 };
  const gate: { beforeAppend?: ((appends: readonly Append[]) => Promise<void>) | undefined } = {};
  const counted: EventStore = {
    ...store,
    appendMany: async (appends) => {
      calls.appendMany++;
      await gate.beforeAppend?.(appends);
      return store.appendMany(appends);
    },
    readStream: async (...asked) => {
      calls.readStream++;
      const events = await store.readStream(...asked);
      read.events += events.length;
      return events;
    },
    readStreams: (...asked) => {
      calls.readStreams++;
      return store.readStreams(...asked);
    },
    findEventIds: (asked) => store.findEventIds(asked),
  };
  return {
    pool: database.pool,
    store,
    counted,
    calls,
    read,
    /** Held open before anything is written: what happens there has overtaken the writer. */
    gate,
    executor: () => new RunCommandExecutor({ store: counted, judge: () => judge }),
    typesOf: async (runId: string) =>
      (await store.readStream(streamOf(runId))).map(({ type }) => type.replace('OperationRun', '')),
    close: async () => {
      await store.close();
      await closeLog();
      await database.close();
    },
  };
}
export type WriteSide = Awaited<ReturnType<typeof createWriteSide>>;

export function envelope(
  runId: string,
  command: RunCommand,
  more: Partial<CommandEnvelope> = {},
): CommandEnvelope {
  const commandId = randomUUID();
  return { runId, command, commandId, actor: 'worker-1', plane: 'admin', correlationId: 'test', ...more };
}
