import { randomUUID } from 'node:crypto';
import type { Pool } from 'pg';
import type { EventStore } from '../../src/event-store/event-store';
import { createPostgresEventStore } from '../../src/event-store/postgres-event-store';
import { formatPosition } from '../../src/events/position';
import { shareOfStore } from './shared-store';
import type { Share } from './shared-store';

/** EventStoreDB's client and the stand-in for its server: large, and loaded by the tests that have their log there. */
/* oxlint-disable typescript/no-require-imports -- an import would load them for every test */
const load = {
  store: () =>
    require('../../src/event-store/eventstoredb-event-store') as typeof import('../../src/event-store/eventstoredb-event-store'),
  standIn: () => require('./eventstoredb-stand-in') as typeof import('./eventstoredb-stand-in'),
};
/* oxlint-enable typescript/no-require-imports */

/** In the test's own database, in a stand-in of its own, or a share of the server at EVENT_STORE_TEST_URL. */
export const LOG_KINDS = ['postgres', 'stand-in', 'server'] as const;
export type LogKind = (typeof LOG_KINDS)[number];

/** Where a test has its log. Plain data, so that processes of the test can open it too. */
export type TestLog =
  | { readonly kind: 'postgres' }
  | { readonly kind: 'eventstoredb'; readonly url: string; readonly share: Share | null };

/** The one switch: EVENT_STORE, by default the server that is given, else PostgreSQL. */
export function chosenLog(env: NodeJS.ProcessEnv = process.env): LogKind {
  const chosen = env.EVENT_STORE ?? (env.EVENT_STORE_TEST_URL ? 'server' : 'postgres');
  const kind = LOG_KINDS.find((known) => known === chosen);
  if (!kind) throw new Error(`EVENT_STORE=${chosen}: must be one of ${LOG_KINDS.join(', ')}`);
  if (kind === 'server' && !env.EVENT_STORE_TEST_URL)
    throw new Error('EVENT_STORE=server: EVENT_STORE_TEST_URL says where the server is');
  return kind;
}

/** For suites worth their time twice: the embedded default and EventStoreDB, unless one log was chosen. */
export function logsWorthTesting(): LogKind[] {
  const chosen = chosenLog();
  return process.env.EVENT_STORE === undefined && chosen === 'postgres' ? ['postgres', 'stand-in'] : [chosen];
}

/** An empty log. */
export async function createTestLog(
  kind: LogKind = chosenLog(),
): Promise<{ readonly log: TestLog; readonly close: () => Promise<void> }> {
  switch (kind) {
    case 'postgres':
      return { log: { kind }, close: () => Promise.resolve() };
    case 'stand-in': {
      const standIn = new (load.standIn().EventStoreDbStandIn)();
      await standIn.start();
      return {
        log: { kind: 'eventstoredb', url: standIn.url, share: null },
        close: () => standIn.stop(),
      };
    }
    case 'server': {
      const url = process.env.EVENT_STORE_TEST_URL!;
      const store = load.store().createEventStoreDbEventStore({ url, onError: tellOnConsole });
      const share = { name: randomUUID(), begins: formatPosition(await store.tail()) };
      await store.close();
      return { log: { kind: 'eventstoredb', url, share }, close: () => Promise.resolve() };
    }
  }
}

export function openTestStore(
  log: TestLog,
  pool: Pool,
  onError: (error: Error) => void = tellOnConsole,
): EventStore {
  if (log.kind === 'postgres') return createPostgresEventStore({ pool, onError });
  const store = load.store().createEventStoreDbEventStore({ url: log.url, onError });
  return log.share ? shareOfStore(store, log.share) : store;
}

function tellOnConsole(error: Error): void {
  console.error(error);
}
