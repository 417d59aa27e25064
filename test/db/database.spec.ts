import { createServer, connect } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { isUnreachable, openPool } from '../../src/db/database';
import { transaction } from '../../src/db/transaction';
import { createTestDatabase } from '../support/database';

test('a server that compiles statements compiled each of ours, for seconds where it runs for milliseconds', async () => {
  const database = await createTestDatabase();
  const { pool, url } = database;
  const other = openPool(url, { max: 1, applicationName: 'test' });
  try {
    await pool.query(
      `do $$ begin execute format('alter database %I set jit = on', current_database()); end $$`,
    );
    expect((await other.query('show jit')).rows).toEqual([{ jit: 'off' }]);
  } finally {
    await other.end();
    await database.close();
  }
});

test('a refused statement threw its connection away, so that a database that refuses many had no time for anything else', async () => {
  const database = await createTestDatabase();
  const only = openPool(database.url, { max: 1, applicationName: 'test' });
  const pid = async () => (await only.query<{ pid: number }>('select pg_backend_pid() as pid')).rows[0]!.pid;
  try {
    const before = await pid();
    await expect(only.query('select 1 / 0')).rejects.toThrow('division by zero');
    await expect(transaction(only, (client) => client.query('select 1 / 0'))).rejects.toThrow(
      'division by zero',
    );
    expect(await pid()).toBe(before);
    // One that is cut is no longer of use.
    await expect(only.query('select pg_terminate_backend(pg_backend_pid())')).rejects.toThrow();
    expect(await pid()).not.toBe(before);
  } finally {
    await only.end();
    await database.close();
  }
});

/** Forwards what comes, until it falls silent for all who are connected by then. */
async function silenceable(url: string) {
  const { hostname, port } = new URL(url);
  const pairs: [Socket, Socket][] = [];
  const server = createServer((client) => {
    const path = decodeURIComponent(hostname);
    const upstream = path.startsWith('/')
      ? connect(`${path}/.s.PGSQL.${port}`)
      : connect(Number(port), hostname);
    client.pipe(upstream).pipe(client);
    for (const socket of [client, upstream]) socket.on('error', () => undefined);
    pairs.push([client, upstream]);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const through = new URL(url);
  through.hostname = '127.0.0.1';
  through.port = String((server.address() as AddressInfo).port);
  return {
    url: through.href,
    fallSilent() {
      for (const [client, upstream] of pairs) {
        client.unpipe(upstream);
        upstream.unpipe(client);
        client.resume();
        upstream.resume();
      }
    },
    async close() {
      for (const pair of pairs) for (const socket of pair) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

test('connections that fell silent were waited on for ever, though the database was well', async () => {
  const database = await createTestDatabase();
  const line = await silenceable(database.url);
  const pool = openPool(line.url, { max: 2, applicationName: 'test', answersWithinMs: 200 });
  try {
    await Promise.all([pool.query('select pg_sleep(0.01)'), pool.query('select pg_sleep(0.01)')]);
    line.fallSilent();
    const asked = [1, 2].map(() => pool.query('select 1').catch((error: unknown) => error));
    for (const error of await Promise.all(asked)) expect(isUnreachable(error)).toBe(true);
    expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
  } finally {
    await line.close();
    await pool.end();
    await database.close();
  }
});

test.each(['57P01', '08006', '53100', '53300', '25006', '25P03', '57014', '55P03', '58030', 'ECONNREFUSED'])(
  'what the database cannot do for the moment was told as an error of ours: %s',
  (code) => {
    expect(isUnreachable(Object.assign(new Error('x'), { code }))).toBe(true);
  },
);

test('a socket that is gone is not there, a file that is not there is another matter', () => {
  const error = (syscall: string) => Object.assign(new Error('x'), { code: 'ENOENT', syscall });
  expect([isUnreachable(error('connect')), isUnreachable(error('open'))]).toEqual([true, false]);
  expect(isUnreachable(Object.assign(new Error('x'), { code: '23505' }))).toBe(false);
});
