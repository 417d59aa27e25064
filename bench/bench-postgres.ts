import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { openEmbedded } from '../src/embedded-postgres/embedded-postgres';
import { folderOutside } from '../src/embedded-postgres/places';

export interface BenchPostgres {
  /** A folder of the benchmark's own beside the database. */
  readonly folder: string;
  /** The server's durability settings as the server tells them. */
  readonly settings: string;
  freshDatabase(name: string): Promise<string>;
  /** Stops the server and removes everything. */
  close(): Promise<void>;
}

/** A new embedded PostgreSQL with the settings of production, in a temporary home. */
export async function openBenchPostgres(): Promise<BenchPostgres> {
  const root = await mkdtemp(join(tmpdir(), 'opstruth-bench-'));
  // As root the server runs under an account of its own, which has to pass through.
  await chmod(root, 0o711);
  const home = join(root, 'home');
  const remove = async () => {
    const outside = await folderOutside(home);
    if (outside !== undefined) await rm(outside, { recursive: true, force: true });
    await rm(root, { recursive: true, force: true });
  };
  try {
    const folder = join(root, 'files');
    await mkdir(folder);
    const server = await openEmbedded(home, { durable: true, onNotice: () => undefined });
    return {
      folder,
      settings: await settingsOf(server.url),
      freshDatabase: (name) => createDatabase(server.url, name),
      async close() {
        await server.stop();
        await remove();
      },
    };
  } catch (error) {
    await remove();
    throw error;
  }
}

/** Creates a database on the server of `adminUrl`; one of that name is replaced. */
export async function createDatabase(adminUrl: string, name: string): Promise<string> {
  await onServer(adminUrl, async (client) => {
    await client.query(`drop database if exists ${client.escapeIdentifier(name)} with (force)`);
    await client.query(`create database ${client.escapeIdentifier(name)}`);
  });
  const url = new URL(adminUrl);
  url.pathname = `/${name}`;
  return url.toString();
}

function settingsOf(url: string): Promise<string> {
  return onServer(url, async (client) => {
    const { rows } = await client.query<{ settings: string }>(
      `select string_agg(name || ' ' || setting, ', ' order by name) as settings from pg_settings
       where name in ('fsync', 'synchronous_commit', 'full_page_writes')`,
    );
    return rows[0]!.settings;
  });
}

async function onServer<T>(url: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: url, application_name: 'opstruth-bench' });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
