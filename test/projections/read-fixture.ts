import { PassThrough } from 'node:stream';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import type { Pool, PoolClient } from 'pg';
import { ProjectionsModule } from '../../projections';
import { surfaces } from '../../projections/surfaces';
import { mintToken } from '../../src/auth/mint-token';
import type { TokenRequest } from '../../src/auth/mint-token';
import { createVerifier } from '../../src/auth/verifier';
import { LATEST_CLASSIFIER } from '../../src/classifier/classifier';
import type { ClassifiedRun } from '../../src/classifier/classified-run';
import { SnapshotReader } from '../../src/db/snapshot-reader';
import type { SnapshotReaderOptions } from '../../src/db/snapshot-reader';
import { configureHttp, createHttpAdapter } from '../../src/http/http-app';
import { HttpModule } from '../../src/http/http.module';
import { createLogger, NestLogger } from '../../src/observability/logger';
import { cellSql } from '../../src/projector/generation-schema';
import { createGeneration } from '../../src/projector/generations';
import type { Generation, GenerationState } from '../../src/projector/generations';
import { savePolicy } from '../../src/projector/policies';
import type { Row, Surface, SurfaceTable } from '../../src/projector/surface';
import { tablesOf } from '../../src/projector/surface-content';
import { FACTS, factsRow } from '../../src/projector/engine-rows';
import { createTestDatabase, testClock } from '../support/database';
import type { TestClock } from '../support/database';
import { TEST_POLICY } from '../support/projection';

const SECRET = 'a secret of at least thirty-two characters';
const tables = tablesOf(surfaces);

export interface Answer<T> {
  readonly status: number;
  readonly etag: string | undefined;
  readonly text: string;
  readonly body: T;
}

/** The read routes as they are served, over a live generation whose rows tests write themselves. */
export interface ReadFixture {
  readonly pool: Pool;
  /** Plans by key; what the routes look up by key goes through it. */
  readonly lookups: Pool;
  readonly clock: TestClock;
  readonly generation: Generation;
  /** Writes runs that were not there: rows, counts and positions, and the checkpoint at the last run's position. */
  show(runs: readonly ClassifiedRun[], into?: Generation): Promise<void>;
  /** Empties every table. */
  clear(): Promise<void>;
  /** Of all surfaces, unless told. */
  addGeneration: (state: GenerationState, of?: readonly Surface[]) => Promise<Generation>;
  /** Retires every generation and makes an empty one live. */
  startOver(of?: readonly Surface[]): Promise<void>;
  readonly get: <T = unknown>(
    url: string,
    token: string,
    headers?: Record<string, string>,
  ) => Promise<Answer<T>>;
  close(): Promise<void>;
}

export async function createReadFixture(options: SnapshotReaderOptions = {}): Promise<ReadFixture> {
  const database = await createTestDatabase();
  const { pool, lookups } = database;
  const policyVersion = await savePolicy(pool, TEST_POLICY, 'test', null);
  const clock = testClock();
  const addGeneration = async (state: GenerationState, of: readonly Surface[] = surfaces) => {
    const client = await pool.connect();
    try {
      const logIdentity = '00000000-0000-4000-8000-000000000000';
      return await createGeneration(client, {
        surfaces: of,
        state,
        classifierVersion: LATEST_CLASSIFIER,
        policyVersion,
        logIdentity,
      });
    } finally {
      client.release();
    }
  };
  let generation = await addGeneration('live');
  const app = await createReadApp(new SnapshotReader(pool, { lookups, ...options }), clock);

  return {
    pool,
    lookups,
    clock,
    get generation() {
      return generation;
    },
    addGeneration,
    async startOver(of) {
      await pool.query(`update opstruth.generations set state = 'retired'`);
      generation = await addGeneration('live', of);
    },
    async show(runs, into = generation) {
      const client = await pool.connect();
      try {
        await client.query('begin');
        await writeRuns(client, into, runs);
        await client.query('commit');
      } finally {
        client.release();
      }
    },
    async clear() {
      const names = [...tables.map(({ name }) => name), 'run_facts', 'scope_positions'];
      await pool.query(names.map((name) => `delete from ${generation.schema}.${name}`).join(';'));
    },
    get: <T>(url: string, token: string, headers: Record<string, string> = {}) =>
      getFrom<T>(app, url, token, headers),
    async close() {
      await app.close();
      await database.close();
    },
  };
}

export async function getFrom<T>(
  app: NestFastifyApplication,
  url: string,
  token: string,
  headers: Record<string, string> = {},
): Promise<Answer<T>> {
  const authorization = `Bearer ${token}`;
  const reply = await app.inject({ method: 'GET', url, headers: { authorization, ...headers } });
  const etag = reply.headers.etag;
  const body = (reply.body === '' ? null : JSON.parse(reply.body)) as T;
  return { status: reply.statusCode, etag: etag?.toString(), text: reply.body, body };
}

async function writeRuns(client: PoolClient, { id, schema }: Generation, runs: readonly ClassifiedRun[]) {
  const add = (table: string, rows: readonly object[], onConflict = '') =>
    client.query(
      `insert into ${schema}.${table} as t select * from json_populate_recordset(null::${schema}.${table}, $1) ${onConflict}`,
      [JSON.stringify(rows)],
    );
  await add(FACTS.name, runs.map(factsRow).map(withJson(FACTS)));
  for (const table of tables) {
    if (table.kind === 'keyed') {
      const rows = runs.map((run) => table.row(run)).filter((row) => row !== null);
      await add(table.name, rows.map(withJson(table)));
    } else {
      const cells = new Map<string, Row>();
      for (const cell of runs.flatMap((run) => table.cells(run))) {
        const key = JSON.stringify(cell);
        cells.set(key, { ...cell, n: Number(cells.get(key)?.n ?? 0) + 1 });
      }
      await add(
        table.name,
        [...cells.values()],
        `on conflict ((${cellSql(table)})) do update set n = t.n + excluded.n`,
      );
    }
  }
  const positions = new Map<string, object>();
  for (const { facts, position } of runs) {
    const [commit, prepare] = position.split('.');
    const place = { workspace_id: facts.workspaceId, tenant_id: facts.tenantId };
    positions.set(JSON.stringify(place), { ...place, commit, prepare });
  }
  await add(
    'scope_positions',
    [...positions.values()],
    'on conflict (workspace_id, tenant_id) do update set commit = excluded.commit, prepare = excluded.prepare',
  );
  const last = runs.at(-1)?.position.split('.');
  if (last)
    await client.query(
      'update opstruth.generations set checkpoint_commit = $2, checkpoint_prepare = $3 where id = $1',
      [id, ...last],
    );
}

/** Rows hold JSON as its text; inside JSON it would be a text. */
function withJson({ columns }: Pick<SurfaceTable, 'columns'>) {
  return (row: Row) =>
    Object.fromEntries(
      Object.entries(row).map(([name, value]) => [
        name,
        columns[name]?.type === 'json' ? (JSON.parse(String(value)) as unknown) : value,
      ]),
    );
}

/** The read routes over any generation that `reader` reads. */
export async function createReadApp(
  reader: SnapshotReader,
  clock: TestClock,
): Promise<NestFastifyApplication> {
  const sink = new PassThrough();
  sink.resume();
  const logger = createLogger({ level: 'error' }, sink);
  const verifier = createVerifier({ kind: 'secret', secret: SECRET }, clock);
  const module = await Test.createTestingModule({
    imports: [HttpModule.register({ clock, verifier }), ProjectionsModule.register(reader)],
  }).compile();
  const app = module.createNestApplication<NestFastifyApplication>(createHttpAdapter(logger), {
    bodyParser: false,
    logger: new NestLogger(logger),
  });
  configureHttp(app);
  await app.init();
  await app.getHttpAdapter().getInstance().ready();
  return app;
}

type Grants = Exclude<TokenRequest['workspaces'], '*' | undefined>;

/** A token of an administrator of everything, or of these workspaces only. */
export function adminToken(workspaces: '*' | Grants = '*', capabilities: TokenRequest['capabilities'] = []) {
  return tokenOf({ plane: 'admin', workspaces, capabilities });
}

export function systemToken(capabilities: TokenRequest['capabilities'] = []) {
  return tokenOf({ plane: 'system', capabilities });
}

function tokenOf(wanted: Pick<TokenRequest, 'plane' | 'workspaces' | 'capabilities'>): Promise<string> {
  const tenYears = 10 * 365 * 86_400;
  return mintToken({
    secret: SECRET,
    subject: 'alice',
    ttlSeconds: tenYears,
    now: '2025-12-31T00:00:00.000Z',
    ...wanted,
  });
}
