import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import {
  chmod,
  cp,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  realpath,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { ConfigError } from '../../src/config';
import { openDatabase } from '../../src/db/database';
import { openEmbedded } from '../../src/embedded-postgres/embedded-postgres';
import type { EmbeddedPostgres } from '../../src/embedded-postgres/embedded-postgres';
import { folderOutside } from '../../src/embedded-postgres/places';
import { processIsAlive } from '../../src/embedded-postgres/file-lock';
import { outsideFolder, serverAccount } from '../../src/embedded-postgres/account';
import { copyOutside } from '../../src/embedded-postgres/binaries';

const exec = promisify(execFile);

let folder: string;
let home: string;
let opened: EmbeddedPostgres[];
let notices: string[];
/** What tests leave outside of the folder of theirs. */
let leftovers: string[];

/** Of a server that was started before. To make a cluster takes longer than all the rest of a test. */
let usedHome: string;

beforeAll(async () => {
  usedHome = join(await makeFolder(), 'home');
  await (await openEmbedded(usedHome, { durable: false, onNotice: () => undefined })).stop();
});

afterAll(async () => {
  const outside = await folderOutside(usedHome);
  if (outside !== undefined) await rm(outside, { recursive: true, force: true });
  await rm(dirname(usedHome), { recursive: true, force: true });
});

beforeEach(async () => {
  folder = await makeFolder();
  home = join(folder, 'home');
  opened = [];
  notices = [];
  leftovers = [];
});

afterEach(async () => {
  for (const server of opened) await server.stop();
  for (const path of leftovers) await rm(path, { recursive: true, force: true });
  await rm(folder, { recursive: true, force: true });
});

async function makeFolder(): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), `opstruth-test-${process.pid}-`));
  await chmod(made, 0o711);
  return made;
}

/** For tests about a server that runs, and not about how its cluster is made. */
async function copyUsedHome(path = home): Promise<void> {
  await exec('cp', ['-pR', usedHome, path]); // with owners, which fs.cp leaves out
}

async function startAgain(durable = false, path = home): Promise<EmbeddedPostgres> {
  await copyUsedHome(path);
  return start(durable, path);
}

/** Without waiting for disks, except where durability is the matter. */
async function start(durable = false, path = home): Promise<EmbeddedPostgres> {
  const server = await openEmbedded(path, { durable, onNotice: (line) => notices.push(line) });
  opened.push(server);
  await noteLeftovers(path);
  return server;
}

async function noteLeftovers(path: string): Promise<void> {
  const outside = await folderOutside(path);
  if (outside !== undefined) leftovers.push(outside, `${outside}.old`);
}

async function query(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url });
  // Servers are killed in these tests.
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text)).rows;
  } finally {
    await client.end();
  }
}

const dataFile = (name: string) => join(opened.at(-1)!.dataDir, name);
const serverPid = async () => Number((await readFile(dataFile('postmaster.pid'), 'utf8')).split('\n')[0]);

async function killServer(): Promise<number> {
  const pid = await serverPid();
  process.kill(pid, 'SIGKILL');
  while (processIsAlive(pid)) await new Promise((resolve) => setTimeout(resolve, 20));
  return pid;
}

test('a second opener shares the server, which ends with its last user', async () => {
  const first = await startAgain();
  const second = await start();
  expect([first.owned, second.owned]).toEqual([true, false]);
  expect(second.url).toBe(first.url);

  await first.stop();
  expect(await query(second.url, 'select 1 as one')).toEqual([{ one: 1 }]);
  await second.stop();
  await second.stop();
  await expect(query(first.url, 'select 1')).rejects.toThrow(/ECONNREFUSED|ENOENT/);
});

test('what was written is there after a restart, with the settings of a durable server', async () => {
  const before = await start(true);
  await query(before.url, 'create table kept as select 42 as answer');
  await before.stop();

  const after = await start(true);
  expect(after.owned).toBe(true);
  expect(await query(after.url, 'select answer from kept')).toEqual([{ answer: 42 }]);
  const settings = `select current_setting('fsync') as fsync, current_setting('synchronous_commit') as commit,
    current_setting('server_encoding') as encoding, current_setting('listen_addresses') as addresses,
    (select datcollate from pg_database where datname = current_database()) as collate`;
  expect(await query(after.url, settings)).toEqual([
    { fsync: 'on', commit: 'on', encoding: 'UTF8', addresses: '127.0.0.1', collate: 'C' },
  ]);
  expect((await stat(join(home, 'postgres.json'))).mode & 0o777).toBe(0o600);
});

test('openers that come at once start one server', async () => {
  const servers = await Promise.all([start(), start(), start()]);
  expect(servers.filter(({ owned }) => owned)).toHaveLength(1);
  expect(new Set(servers.map(({ url }) => url)).size).toBe(1);
});

test('a home that cannot be made hung, was blamed on the port, or was told of by a stack', async () => {
  const file = join(folder, 'file');
  await writeFile(file, '');
  // Under /proc there is no room for folders, which Node's own recursive way never finds out.
  for (const path of [file, join(file, 'below'), ...(existsSync('/proc') ? ['/proc/nothing/below'] : [])]) {
    await expect(start(false, path)).rejects.toThrow(ConfigError);
    await expect(start(false, path)).rejects.toThrow('OPSTRUTH_HOME: cannot be used as a folder: ');
  }
});

test('a killed server is started again with its data, though its pid file is still there', async () => {
  const killed = await startAgain(true);
  await query(killed.url, 'create table kept as select 42 as answer');
  expect(await killed.isRunning()).toBe(true);
  await killServer();
  // Nobody was told, and its user could not end in order.
  expect(await killed.isRunning()).toBe(false);
  await killed.stop();

  const next = await start(true);
  expect(next.owned).toBe(true);
  expect(await query(next.url, 'select answer from kept')).toEqual([{ answer: 42 }]);
  const sockets = (await readdir(dataFile('.'))).filter((name) => name.startsWith('.s.PGSQL.'));
  expect(sockets).toHaveLength(2); // the living server's and its lock
});

test('it is reached by a socket in its folder, or by its port where that path is too long for one', async () => {
  const near = await startAgain();
  expect(decodeURIComponent(near.url)).toContain(near.dataDir);
  const far = await startAgain(false, join(folder, 'x'.repeat(100)));
  expect(far.url).toContain('@127.0.0.1:');
  expect(await query(far.url, 'select 1 as one')).toEqual([{ one: 1 }]);
});

test('a pid file whose pid belongs to another process by now does not keep the server from starting', async () => {
  await startAgain();
  const pid = await killServer();
  const stale = await readFile(dataFile('postmaster.pid'), 'utf8');
  await writeFile(dataFile('postmaster.pid'), stale.replace(String(pid), String(process.pid)));

  expect((await start()).owned).toBe(true);
});

test('a user that was killed neither keeps the server running nor the lock', async () => {
  const server = await startAgain();
  const gone = await exitedPid();
  await writeFile(join(home, 'postgres.uses', `${gone}.${randomUUID()}`), '');
  await writeFile(join(home, 'postgres.lock'), `${gone} ${randomUUID()}`);

  await server.stop();
  await expect(query(server.url, 'select 1')).rejects.toThrow(/ECONNREFUSED|ENOENT/);
});

test('openDatabase without a url opens the embedded server of the home', async () => {
  await copyUsedHome();
  const database = await openDatabase({ home, databasePoolSize: 2 });
  await noteLeftovers(home);
  const { rows } = await database.pool.query<{ name: string }>(
    `select current_setting('application_name') as name`,
  );
  expect(rows).toEqual([{ name: 'opstruth' }]);
  await database.close();
  await database.close();
  await expect(query(database.url, 'select 1')).rejects.toThrow(/ECONNREFUSED|ENOENT/);
});

async function exitedPid(): Promise<number> {
  const { stdout } = await exec(process.execPath, ['-p', 'process.pid']);
  return Number(stdout);
}

/** Which of the two runs depends on who runs the tests: closed folders are a matter for root alone. */
const isRoot = process.getuid?.() === 0;
const describeAsRoot = isRoot ? describe : describe.skip;
const describeAsOrdinaryUser = isRoot ? describe.skip : describe;

describeAsOrdinaryUser('as an ordinary user (skipped for root)', () => {
  test('a home in a folder closed to others keeps its database in itself', async () => {
    await chmod(folder, 0o700);
    const server = await start();
    expect(server.dataDir).toBe(join(await realpath(home), 'postgres'));
    expect(notices).toEqual([]);
  });
});

describeAsRoot('as root (skipped for any other user)', () => {
  beforeEach(async () => {
    await chmod(folder, 0o700);
  });

  const keep = (server: EmbeddedPostgres) => query(server.url, 'create table kept as select 42 as answer');
  const kept = async (server: EmbeddedPostgres) =>
    (await query(server.url, `select to_regclass('kept') is not null as kept`))[0]?.kept;

  test('a home that the account of the server may not enter has its database outside', async () => {
    const first = await start();
    await keep(first);
    const second = await start();
    expect([first.owned, second.owned]).toEqual([true, false]);
    await second.stop();
    await first.stop();
    const told = notices.filter((line) => line.includes(first.dataDir));
    expect(told).toEqual([expect.stringContaining(`the database of ${home}, new and empty, is kept in`)]);

    expect(first.dataDir).toMatch(/^\/.+\/opstruth\/[0-9a-f]{16}\/postgres$/);
    const account = await serverAccount(first.dataDir);
    const data = await stat(first.dataDir);
    expect({ uid: data.uid, gid: data.gid, mode: data.mode & 0o777 }).toEqual({ ...account, mode: 0o700 });
    expect((await stat(dirname(first.dataDir))).mode & 0o777).toBe(0o755);
    expect(await readFile(join(dirname(first.dataDir), 'home'), 'utf8')).toBe(`${home}\n`);
    expect(existsSync(join(home, 'postgres'))).toBe(false);

    // Where it is stays as recorded, also when the home is opened to all.
    await chmod(folder, 0o711);
    const third = await start();
    expect([third.owned, third.dataDir, await kept(third)]).toEqual([true, first.dataDir, true]);
  });

  test('after the removal of a home with a running server a new one begins with an empty database', async () => {
    const removed = await start();
    await keep(removed);
    const pid = await serverPid();
    await rm(home, { recursive: true });

    const next = await start();
    expect([next.owned, next.dataDir, await kept(next)]).toEqual([true, removed.dataDir, false]);
    expect(processIsAlive(pid)).toBe(false);
    expect(notices.at(-1)).toContain(`moved to ${dirname(removed.dataDir)}.old/postgres`);
    await next.stop();
  });

  test('a home whose record alone was removed is not taken for a new one', async () => {
    await (await start()).stop();
    await rm(join(home, 'postgres.json'));
    await expect(start()).rejects.toThrow(/postgres\.json is missing.* restore it, or remove/);
  });

  test('with the data outside gone, a new database begins under the same record', async () => {
    const gone = await start();
    await gone.stop();
    await rm(dirname(gone.dataDir), { recursive: true });
    expect((await start()).dataDir).toBe(gone.dataDir);
  });

  test('a moved home keeps its database, and its old path is free for another', async () => {
    const before = await start();
    await keep(before);
    await before.stop();
    const moved = join(folder, 'moved');
    await rename(home, moved);

    const after = await start(false, moved);
    expect(await kept(after)).toBe(true);
    expect(after.dataDir).not.toBe(before.dataDir);
    const other = await start();
    expect([other.dataDir, await kept(other)]).toEqual([before.dataDir, false]);
  });

  test('a copied home begins with an empty database and leaves the one of the original alone', async () => {
    const original = await start();
    await keep(original);
    await original.stop();
    const path = join(folder, 'copy');
    await cp(home, path, { recursive: true });

    const copy = await start(false, path);
    expect([copy.dataDir === original.dataDir, await kept(copy)]).toEqual([false, false]);
    expect(await kept(await start())).toBe(true);
  });

  test('data from before its home was closed stays, and the closed folder is named', async () => {
    await mkdir(join(home, 'postgres'), { recursive: true });
    const record = { user: 'postgres', password: randomUUID() };
    await writeFile(join(home, 'postgres.json'), JSON.stringify(record));
    await expect(start()).rejects.toThrow(`may not enter ${folder} on the way to`);
  });

  test('binaries are copied once for all who start together, links kept and open to all', async () => {
    const native = join(folder, 'native');
    await mkdir(join(native, 'lib'), { recursive: true, mode: 0o700 });
    await writeFile(join(native, 'lib', 'libpq.so.5.18'), 'code', { mode: 0o700 });
    await writeFile(join(native, 'lib', 'notes'), 'text', { mode: 0o600 });
    await symlink('libpq.so.5.18', join(native, 'lib', 'libpq.so.5'));
    const installed = { native, version: `0.0.0-test-${randomUUID()}` };
    const account = await serverAccount(native);

    const copies = await Promise.all(
      [1, 2, 3].map(() => copyOutside(installed, account, (line) => notices.push(line))),
    );
    const [copy] = copies;
    leftovers.push(copy!);
    expect(new Set(copies).size).toBe(1);
    expect(notices).toHaveLength(1);
    expect(await readlink(join(copy!, 'lib', 'libpq.so.5'))).toBe('libpq.so.5.18');
    const mode = async (name: string) => (await lstat(join(copy!, name))).mode & 0o777;
    expect([await mode('lib'), await mode('lib/libpq.so.5.18'), await mode('lib/notes')]).toEqual([
      0o755, 0o755, 0o644,
    ]);
    expect(existsSync(`${copy}.new`)).toBe(false);
  });

  test('where the first place cannot be written, or others may write in it, the next is taken', async () => {
    const account = await serverAccount(home);
    const shared = join(folder, 'shared');
    await mkdir(join(shared, 'opstruth'), { recursive: true });
    await chmod(join(shared, 'opstruth'), 0o777);
    const preferred = await outsideFolder(account);
    expect(await outsideFolder(account, ['/proc', shared, dirname(preferred)])).toBe(preferred);
    await expect(outsideFolder(account, ['/proc', shared])).rejects.toThrow(
      `${shared}/opstruth is not a folder that belongs to root alone`,
    );
  });
});
