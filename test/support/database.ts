import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { DatabaseError } from 'pg';
import type { Pool } from 'pg';
import { BY_KEY, openPool } from '../../src/db/database';
import type { PoolOptions } from '../../src/db/database';
import { addSeconds, canonicalInstant } from '../../src/events/instant';
import type { Clock, Instant } from '../../src/events/instant';
import { onDatabase, urlOfDatabase } from './server';
import type { TestServer } from './server';

export interface TestDatabase {
  readonly pool: Pool;
  /** Plans by key, as the service's look-ups do. */
  readonly lookups: Pool;
  readonly url: string;
  /** Closes the pools and drops the database, whoever is still connected. */
  close(): Promise<void>;
}

const CLONE_ATTEMPTS = 100;

/** A migrated database of one's own, cloned from the template of this run. */
export async function createTestDatabase(options: { max?: number } = {}): Promise<TestDatabase> {
  const { adminUrl, template } = testServer();
  const name = `opstruth_test_${process.env.JEST_WORKER_ID ?? '0'}_${randomBytes(6).toString('hex')}`;
  await cloneDatabase(adminUrl, template, name);
  const url = urlOfDatabase(adminUrl, name);
  let closing = false;
  const settings: PoolOptions = {
    max: options.max ?? 10,
    applicationName: 'opstruth-test',
    onError: (error) => {
      // Dropping the database cuts connections that a test left open; any other loss is news.
      if (!closing) console.error(`test database connection lost: ${error.message}`);
    },
  };
  const pool = openPool(url, settings);
  const lookups = openPool(url, { ...settings, plans: BY_KEY });
  const close = async () => {
    closing = true;
    await Promise.all([pool.end(), lookups.end()]);
    await onDatabase(adminUrl, (client) =>
      client.query(`drop database if exists ${client.escapeIdentifier(name)} with (force)`),
    );
  };
  let closed: Promise<void> | undefined;
  return { pool, lookups, url, close: () => (closed ??= close()) };
}

async function cloneDatabase(adminUrl: string, template: string, name: string): Promise<void> {
  await onDatabase(adminUrl, async (client) => {
    // Copied as files: through the log, as is the default, each page of the template is compressed for every clone.
    const create = `create database ${client.escapeIdentifier(name)} template ${client.escapeIdentifier(template)} strategy file_copy`;
    for (let attempt = 1; ; attempt++) {
      try {
        await client.query(create);
        return;
      } catch (error) {
        // "source database is being accessed by other users": another worker is cloning it.
        const busy = error instanceof DatabaseError && error.code === '55006';
        if (!busy || attempt === CLONE_ATTEMPTS) throw error;
        await sleep(20);
      }
    }
  });
}

function testServer(): TestServer {
  const handed = process.env.OPSTRUTH_TEST_SERVER;
  if (!handed) throw new Error('no test server: run this file through jest, whose global setup starts one');
  return JSON.parse(handed) as TestServer;
}

export interface TestClock extends Clock {
  advance(seconds: number): Instant;
  set(instant: Instant): Instant;
}

/** A clock that stands still until told otherwise. */
export function testClock(start: Instant = '2026-01-01T00:00:00.000Z'): TestClock {
  let present = canonicalInstant(start);
  return {
    now: () => present,
    advance: (seconds) => (present = addSeconds(present, seconds)),
    set: (instant) => (present = canonicalInstant(instant)),
  };
}

/** A source of ids that are the same in every run: `run-1`, `run-2` ... */
export function testIds(prefix: string): () => string {
  let last = 0;
  return () => `${prefix}-${++last}`;
}
