import { randomBytes } from 'node:crypto';
import { access, chmod, constants, mkdtemp, readdir, rm, stat, statfs } from 'node:fs/promises';
import { freemem, tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { openPool } from '../../src/db/database';
import { openEmbedded } from '../../src/embedded-postgres/embedded-postgres';
import type { EmbeddedPostgres } from '../../src/embedded-postgres/embedded-postgres';
import { folderOutside } from '../../src/embedded-postgres/places';
import { processIsAlive } from '../../src/embedded-postgres/file-lock';
import { migrate } from '../../src/db/migrate';
import { onDatabase, urlOfDatabase } from './server';
import type { TestServer } from './server';

const HOME_PREFIX = 'opstruth-test-';

/** Linux's file system in memory, and what its `statfs` calls itself. */
const IN_MEMORY = '/dev/shm';
const TMPFS = 0x01021994;
/** The server alone may keep two of log before it begins to take the oldest away. */
const ROOM_BYTES = 4 * 1024 ** 3;

/** Others' databases order words as their language does, and not as ours do: nothing may depend on it. */
const OTHER_LOCALE = `template template0 locale_provider icu icu_locale 'en-US'`;

declare global {
  var opstruthTestServer: { embedded?: EmbeddedPostgres; home?: string; server: TestServer } | undefined;
}

/** One server for the whole run, with a migrated template database that every test file clones. */
export default async function globalSetup(): Promise<void> {
  // What a run writes is of no use after it; databases that are cloned in memory take it three quarters of the time.
  if (process.env.TMPDIR === undefined && (await hasRoomInMemory())) process.env.TMPDIR = IN_MEMORY;
  const given = process.env.TEST_DATABASE_URL;
  if (given) {
    // Another run may use the same server, hence a template of our own.
    const server = { adminUrl: given, template: `opstruth_template_${randomBytes(4).toString('hex')}` };
    globalThis.opstruthTestServer = { server };
    await makeTemplate(server);
  } else {
    await sweepAbandonedHomes();
    const home = await mkdtemp(join(tmpdir(), `${HOME_PREFIX}${process.pid}-`));
    let embedded: EmbeddedPostgres | undefined;
    try {
      // As root the server runs under an account of its own, which has to pass through.
      await chmod(home, 0o711);
      embedded = await openServer(homeIn(home));
      const server = { adminUrl: embedded.url, template: 'opstruth_template' };
      globalThis.opstruthTestServer = { embedded, home, server };
      await makeTemplate(server, OTHER_LOCALE);
    } catch (error) {
      // Jest runs no teardown after a failed setup.
      await embedded?.stop();
      await removeOutside(homeIn(home));
      await rm(home, { recursive: true, force: true });
      throw error;
    }
  }
}

async function hasRoomInMemory(): Promise<boolean> {
  try {
    await access(IN_MEMORY, constants.W_OK);
    const { type, bavail, bsize } = await statfs(IN_MEMORY);
    return type === TMPFS && bavail * bsize > ROOM_BYTES && freemem() > ROOM_BYTES;
  } catch {
    return false; // no such folder here
  }
}

function homeIn(folder: string): string {
  return join(folder, 'home');
}

async function openServer(home: string): Promise<EmbeddedPostgres> {
  const embedded = await openEmbedded(home, { durable: false, database: 'opstruth_admin' });
  const stop = async () => {
    await embedded.stop();
    await removeOutside(home);
  };
  return { ...embedded, stop };
}

/** Where the folder for temporary files is closed to the server's account, the data is not in the home. */
async function removeOutside(home: string): Promise<void> {
  const folder = await folderOutside(home);
  if (folder !== undefined) await rm(folder, { recursive: true, force: true });
}

async function makeTemplate(server: TestServer, options = ''): Promise<void> {
  await onDatabase(server.adminUrl, (client) =>
    client.query(`create database ${client.escapeIdentifier(server.template)} ${options}`),
  );
  const pool = openPool(urlOfDatabase(server.adminUrl, server.template), {
    max: 2,
    applicationName: 'opstruth-test-template',
  });
  try {
    await migrate(pool);
  } finally {
    await pool.end();
  }
  process.env.OPSTRUTH_TEST_SERVER = JSON.stringify(server);
}

/** A killed run leaves its server behind; without its files PostgreSQL ends by itself within a minute. */
async function sweepAbandonedHomes(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const pid = name.startsWith(HOME_PREFIX) ? Number(name.slice(HOME_PREFIX.length).split('-')[0]) : NaN;
    if (!(pid > 0) || processIsAlive(pid)) continue;
    const folder = join(tmpdir(), name);
    const owner = await stat(folder).catch(() => undefined);
    // Another user's is theirs to sweep; none at all was swept by another run just now.
    if (owner?.uid !== userInfo().uid) continue;
    // A record that cannot be read names nothing to remove.
    await removeOutside(homeIn(folder)).catch(() => undefined);
    await rm(folder, { recursive: true, force: true });
  }
}
