import type { RunRow } from '../../src/classifier/run-row';
import { at, classified, completedRun, queuedRun, reconciledRun, runningRun } from '../classifier/run-facts';
import { adminToken, createReadFixture, systemToken } from './read-fixture';
import type { ReadFixture } from './read-fixture';

interface ListAnswer {
  meta: { filter: object; asOf: string; generation: number };
  data: { rows: RunRow[] };
  page: { nextCursor: string | null; limit: number };
}
interface Refusal {
  code: string;
  detail: string;
}

let fixture: ReadFixture;
let admin: string;
let system: string;
beforeAll(async () => {
  fixture = await createReadFixture({ maxWaitMs: 50 });
  [admin, system] = await Promise.all([adminToken(), systemToken()]);
  fixture.clock.set(at(1200));
  await fixture.show(
    [
      queuedRun({ runId: 'waiting', queuedAt: at(1100) }),
      queuedRun({ runId: 'stuck-queued', queuedAt: at(300) }),
      runningRun({ runId: 'stuck-running', queuedAt: at(0), startedAt: at(10), type: 'backup' }),
      completedRun({ runId: 'done', queuedAt: at(50), completedAt: at(100) }),
      completedRun({ runId: 'failed', queuedAt: at(60), completedAt: at(1000), outcome: 'failed' }),
      reconciledRun({}, { runId: 'reconciled', queuedAt: at(70), completedAt: at(1150), tenantId: null }),
      // Two at the same instant: the id decides, by code point whatever the server's locale.
      completedRun({ runId: 'Done', queuedAt: at(50), completedAt: at(101), workspaceId: 'w2' }),
    ].map((facts) => classified(facts)),
  );
});
afterAll(() => fixture.close());

const tokenFor = (url: string) => (url.startsWith('/system') ? system : admin);
const list = async (url: string) => (await fixture.get<ListAnswer>(url, tokenFor(url))).body;
const idsOf = async (url: string) => (await list(url)).data.rows.map((row) => row.runId);
const refusalOf = async (url: string, token = tokenFor(url)) => {
  const { status, body } = await fixture.get<Refusal>(url, token);
  return `${status} ${body.code}`;
};

test('the hub lists the newest first and, of runs queued together, the greater id', async () => {
  expect(await idsOf('/admin/operations')).toEqual([
    'waiting',
    'stuck-queued',
    'reconciled',
    'failed',
    'done',
    'Done',
    'stuck-running',
  ]);
});

test.each([
  [
    '/workspaces/w1/tenants/t1/operations/recent?problemClass=active_stale_attention',
    ['stuck-queued', 'stuck-running'],
  ],
  ['/workspaces/w1/operations/recent?problemClass=active_stale_attention&type=backup', ['stuck-running']],
  ['/admin/operations?problemClass=active_stale_attention&type=backup', ['stuck-running']],
  ['/system/ops/runs?problemClass=active_stale_attention&type=backup', ['stuck-running']],
  ['/workspaces/w1/tenants/t1/operations/recent?active=true', ['waiting', 'stuck-queued', 'stuck-running']],
  ['/workspaces/w1/operations/recent?active=true&type=backup', ['stuck-running']],
  ['/workspaces/w1/tenants/t1/operations/recent?problemClass=terminal_follow_up&active=false', ['failed']],
])('%s: what is stuck is counted as none, and was not to be ruled out by that', async (url, expected) => {
  expect(await idsOf(url)).toEqual(expected);
});

test('the stuck are listed longest stuck first, failures last failed first', async () => {
  expect(await idsOf('/system/ops/stuck')).toEqual(['stuck-queued', 'stuck-running']);
  expect(await idsOf('/system/ops/failures')).toEqual(['reconciled', 'failed']);
});

test('every list pages through all of its rows, once each and in order', async () => {
  const paths = [
    '/admin/operations',
    '/system/ops/runs',
    '/system/ops/failures',
    '/system/ops/stuck',
    '/system/ops/notifications',
    '/workspaces/w1/operations/recent',
    '/workspaces/w1/operations/progress',
  ];
  for (const path of paths) {
    const whole = await idsOf(path);
    const paged: string[] = [];
    let cursor: string | null = null;
    do {
      const { data, page }: ListAnswer = await list(`${path}?limit=1${cursor ? `&cursor=${cursor}` : ''}`);
      paged.push(...data.rows.map((row) => row.runId));
      cursor = page.nextCursor;
    } while (cursor);
    expect([path, paged]).toEqual([path, whole]);
  }
});

test('a cursor is refused by another list, another path and another filter', async () => {
  const cursorOf = async (url: string) => (await list(url)).page.nextCursor!;
  const cursor = await cursorOf('/workspaces/w1/operations/recent?limit=1&status=completed');
  const base = '/workspaces/w1/operations/recent?status=completed&limit=1';
  expect((await list(`${base}&cursor=${cursor}&from=operations-hub`)).data.rows).toHaveLength(1);
  for (const url of [
    `/workspaces/w1/operations/recent?cursor=${cursor}`,
    `/workspaces/w2/operations/recent?status=completed&cursor=${cursor}`,
    `/workspaces/w1/tenants/t1/operations/recent?status=completed&cursor=${cursor}`,
    `/admin/operations?workspace=w1&status=completed&cursor=${cursor}`,
  ])
    expect(await refusalOf(url)).toBe('400 cursor_of_another_filter');
  expect(await refusalOf('/admin/operations?cursor=made-up')).toBe('400 invalid_cursor');
});

test('a list echoes its normalised filter and where the reader came from', async () => {
  const { meta } = await list(
    '/admin/operations?status=running&status=queued&tenant=&active=true&from=tenant-dashboard',
  );
  expect(meta.filter).toEqual({
    status: ['queued', 'running'],
    tenant: [''],
    active: true,
    from: 'tenant-dashboard',
  });
});

test('an unknown filter, or one the list does not have, is refused and not ignored', async () => {
  for (const url of [
    '/admin/operations?state=queued',
    '/admin/operations?__proto__=1',
    '/admin/operations?status=done',
    '/workspaces/w1/operations/recent?workspace=w2',
    '/workspaces/w1/tenants/t1/operations/recent?tenant=t2',
    '/system/ops/stuck?outcome=failed',
    '/workspaces/w1/operations/summary?status=queued',
    '/admin/operations?limit=0',
  ])
    expect([url, await refusalOf(url)]).toEqual([url, '400 invalid_request']);
});

test('asOf moves the class, the words and the links, never the facts', async () => {
  const before = (await list(`/admin/operations?asOf=${at(800)}&status=running`)).data.rows[0]!;
  const after = (await list(`/admin/operations?asOf=${at(911)}&status=running`)).data.rows[0]!;
  expect([before.problemClass, after.problemClass]).toEqual(['none', 'active_stale_attention']);
  expect([before.status, before.staleAt]).toEqual([after.status, after.staleAt]);
  expect(before.href).toBe(
    `/admin/operations/stuck-running?from=operations-hub&asOf=${encodeURIComponent(at(800))}`,
  );
  const now = (await list('/admin/operations?status=running')).data.rows[0]!;
  expect(now.href).toBe('/admin/operations/stuck-running?from=operations-hub');
});

test('a run becomes stuck without a write, and no tag hides it from who polls', async () => {
  const path = '/workspaces/w1/operations/progress';
  fixture.clock.set(at(909));
  const first = await fixture.get(path, admin);
  fixture.clock.set(at(910));
  const unchanged = await fixture.get(path, admin, { 'if-none-match': first.etag! });
  expect(unchanged.status).toBe(304);
  fixture.clock.set(at(910.001));
  const crossed = await fixture.get(path, admin, { 'if-none-match': first.etag! });
  expect(crossed.status).toBe(200);
  fixture.clock.set(at(1200));
});

test("the planes are closed to each other, and history is the system plane's", async () => {
  expect(await refusalOf('/system/ops/runs', admin)).toBe('403 wrong_plane');
  expect(await refusalOf('/admin/operations', system)).toBe('403 wrong_plane');
  expect(await refusalOf('/system/ops/notifications', admin)).toBe('403 wrong_plane');
  expect(await refusalOf(`/admin/operations?generation=${fixture.generation.id}`)).toBe('403 wrong_plane');
  const { meta, data } = await list(`/system/ops/runs?generation=${fixture.generation.id}`);
  expect(meta.generation).toBe(fixture.generation.id);
  expect(data.rows[0]!.href).toContain(`generation=${fixture.generation.id}`);
  expect(await refusalOf('/system/ops/runs?generation=999')).toBe('404 not_found');
});

test('a path out of scope is not found, with the same words as one that does not exist', async () => {
  const limited = await adminToken([{ id: 'w1', tenants: ['t1'] }]);
  for (const path of ['/workspaces/w2', '/workspaces/nowhere', '/workspaces/w1/tenants/t2'])
    for (const page of ['summary', 'attention', 'recent', 'progress', 'notifications']) {
      const url = `${path}/operations/${page}`;
      expect([url, await refusalOf(url, limited)]).toEqual([url, '404 not_found']);
    }
  const { body } = await fixture.get<ListAnswer>('/admin/operations', limited);
  expect(body.data.rows.map((row) => row.runId)).not.toContain('reconciled');
  expect(body.data.rows.map((row) => row.workspaceId)).toEqual(body.data.rows.map(() => 'w1'));
});

test('a position that is not reached in time is a refusal to be repeated', async () => {
  const url = '/workspaces/w1/operations/summary?minPosition=';
  expect((await list(`${url}7.3`)).meta.asOf).toBe(at(1200));
  expect(await refusalOf(`${url}7.4`)).toBe('503 position_not_reached');
  expect(await refusalOf(`${url}soon`)).toBe('400 invalid_request');
});

test('an empty tenant is all zeros and nothing to poll for', async () => {
  const base = '/workspaces/w9/tenants/t9/operations';
  const summary = await fixture.get<{ data: { buckets: Record<string, { value: number }> } }>(
    `${base}/summary`,
    admin,
  );
  expect(Object.values(summary.body.data.buckets).map(({ value }) => value)).toEqual(Array(13).fill(0));
  const progress = await fixture.get<{ data: object }>(`${base}/progress`, admin);
  expect(progress.body.data).toMatchObject({ poll: { continue: false, afterSeconds: 10 }, rows: [] });
});

test('a notification is worded as the run is, and leads to it', async () => {
  const { body } = await fixture.get<{ data: { rows: Record<string, unknown>[] } }>(
    '/workspaces/w1/operations/notifications',
    admin,
  );
  expect(body.data.rows.map((row) => row.runId)).toEqual(['reconciled', 'failed', 'done']);
  for (const row of body.data.rows) {
    const page = await fixture.get<{ data: Record<string, unknown> }>(String(row.href), admin);
    const { severity, label, why, guidance } = page.body.data;
    expect(row).toMatchObject({ severity, label, why, guidance, addressee: 'ann' });
  }
});

test('every path and its parameters are described, answers included', async () => {
  interface Operation {
    parameters?: { name: string; in: string }[];
    responses: Record<string, { content?: Record<string, { schema: object }> }>;
  }
  const { body } = await fixture.get<{ paths: Record<string, { get?: Operation }> }>('/openapi.json', admin);
  const reads = Object.entries(body.paths).filter(([path]) => /workspaces|admin|system/.test(path));
  expect(reads.map(([path]) => path).sort()).toEqual(
    [
      '/admin/operations',
      '/admin/operations/{runId}',
      '/system/ops/failures',
      '/system/ops/notifications',
      '/system/ops/runs',
      '/system/ops/runs/{runId}',
      '/system/ops/stuck',
      '/system/ops/summary',
      ...['attention', 'notifications', 'progress', 'recent', 'summary'].flatMap((page) => [
        `/workspaces/{workspaceId}/operations/${page}`,
        `/workspaces/{workspaceId}/tenants/{tenantId}/operations/${page}`,
      ]),
    ].sort(),
  );
  for (const [, { get }] of reads) expect(get?.responses['200']?.content).toHaveProperty('application/json');
  const named = body.paths['/admin/operations']?.get?.parameters?.map(({ name }) => name);
  expect(named).toEqual(
    expect.arrayContaining(['problemClass', 'tenant', 'active', 'from', 'asOf', 'cursor']),
  );
});

// The last one: it adds to what all others list.
test('a page with as many rows as are read at once for it is not taken for the last', async () => {
  const runs = Array.from({ length: 21 }, (_, n) =>
    completedRun({ runId: `one-of-many-${n}`, queuedAt: at(n), completedAt: at(n + 1), workspaceId: 'w3' }),
  );
  await fixture.show(runs.map((facts) => classified(facts)));
  for (const page of ['recent', 'notifications']) {
    const { data, page: told } = await list(`/workspaces/w3/operations/${page}?limit=20`);
    expect([data.rows.length, told.nextCursor]).toEqual([20, expect.any(String)]);
  }
});

test('whichever path one reader asks, the answer names the same position', async () => {
  const older = { ...classified(completedRun({ runId: 'older', workspaceId: 'w5' })), position: '6.1' };
  await fixture.show([older]);
  const reader = await adminToken([{ id: 'w1' }, { id: 'w5' }]);
  const positions: string[] = [];
  for (const path of [
    '/admin/operations',
    '/workspaces/w1/operations/recent',
    '/workspaces/w5/operations/recent',
  ]) {
    const { body } = await fixture.get<{ meta: { position: string } }>(path, reader);
    positions.push(body.meta.position);
  }
  expect(new Set(positions).size).toBe(1);
});
