import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Pool } from 'pg';
import { openPool } from '../../src/db/database';
import { migrate, MigrationError, migrationsFolder, missingMigrations } from '../../src/db/migrate';
import { createTestDatabase } from '../support/database';
import { urlOfDatabase } from '../support/server';
import type { TestDatabase } from '../support/database';

describe('migrate', () => {
  let database: TestDatabase;
  let folder: string;

  beforeEach(async () => {
    database = await createTestDatabase();
    // The template is migrated already; these tests bring migrations of their own.
    await database.pool.query('drop schema opstruth cascade');
    folder = await mkdtemp(join(tmpdir(), 'opstruth-migrations-'));
    await file(
      '0001_first.sql',
      'create table opstruth.first (id int); insert into opstruth.first values (1);',
    );
    await file('0002_second.sql', 'create table opstruth.second as select id + 1 as id from opstruth.first;');
  });

  afterEach(async () => {
    await rm(folder, { recursive: true });
    await database.close();
  });

  const file = (name: string, text: string) => writeFile(join(folder, name), text);

  const ids = async (table: string) =>
    (await database.pool.query<{ id: number }>(`select id from opstruth.${table}`)).rows.map(({ id }) => id);

  test('a database of another encoding was migrated, and refused the first name with an umlaut', async () => {
    const name = `${new URL(database.url).pathname.slice(1)}_ascii`;
    await database.pool.query(
      `create database ${name} template template0 encoding 'SQL_ASCII' locale 'C' locale_provider libc`,
    );
    const pool = openPool(urlOfDatabase(database.url, name), { max: 1, applicationName: 'test' });
    try {
      await expect(migrate(pool, folder)).rejects.toThrow(
        new MigrationError('the database has the encoding SQL_ASCII; it must be UTF8'),
      );
    } finally {
      await pool.end();
      await database.pool.query(`drop database ${name}`);
    }
  });

  test('an older server was told by a statement that it does not understand', async () => {
    const pool = { query: () => ({ rows: [{ version: '14.11 (Debian 14.11-1)', encoding: 'UTF8' }] }) };
    await expect(migrate(pool as unknown as Pool, folder)).rejects.toThrow(
      'the server is PostgreSQL 14.11 (Debian 14.11-1); 15 or newer is needed',
    );
  });

  test('applies every file in order, with all its statements', async () => {
    expect(await missingMigrations(database.pool, folder)).toEqual({
      names: ['0001_first', '0002_second'],
      isEmpty: true,
    });
    expect(await migrate(database.pool, folder)).toEqual(['0001_first', '0002_second']);
    expect(await ids('second')).toEqual([2]);
    expect(await missingMigrations(database.pool, folder)).toEqual({ names: [], isEmpty: false });
  });

  test('applies a file once, and one that is added later', async () => {
    await migrate(database.pool, folder);
    expect(await migrate(database.pool, folder)).toEqual([]);
    await file('0003_third.sql', 'create table opstruth.third (id int)');
    expect(await missingMigrations(database.pool, folder)).toEqual({ names: ['0003_third'], isEmpty: false });
    expect(await migrate(database.pool, folder)).toEqual(['0003_third']);
    expect(await ids('first')).toEqual([1]);
  });

  test('processes that start at once migrate once', async () => {
    const pools = [1, 2, 3].map(() => openPool(database.url, { max: 2, applicationName: 'racer' }));
    try {
      const applied = await Promise.all(pools.map((pool) => migrate(pool, folder)));
      expect(applied.flat().sort()).toEqual(['0001_first', '0002_second']);
      expect(await ids('first')).toEqual([1]);
    } finally {
      await Promise.all(pools.map((pool) => pool.end()));
    }
  });

  test('a broken file is named and leaves nothing of the run behind', async () => {
    await file('0003_broken.sql', 'create table opstruth.third (id int); select nonsense;');
    await expect(migrate(database.pool, folder)).rejects.toThrow(/migration 0003_broken failed: .*nonsense/);
    expect(await missingMigrations(database.pool, folder)).toMatchObject({
      names: ['0001_first', '0002_second', '0003_broken'],
      isEmpty: true,
    });
    await expect(ids('first')).rejects.toThrow(/does not exist/);
  });

  test('refuses names that would not sort, and numbers used twice', async () => {
    await file('0002_other.sql', 'select 1');
    await expect(migrate(database.pool, folder)).rejects.toThrow(/same number/);
    await rm(join(folder, '0002_other.sql'));
    await file('3-third.sql', 'select 1');
    await expect(migrate(database.pool, folder)).rejects.toThrow(/3-third\.sql: migrations are named like/);
  });

  test("finds the package's own migrations, which the template has", async () => {
    expect(migrationsFolder()).toBe(join(process.cwd(), 'migrations'));
    const migrated = await createTestDatabase();
    try {
      expect(await missingMigrations(migrated.pool)).toMatchObject({ names: [] });
    } finally {
      await migrated.close();
    }
  });
});
