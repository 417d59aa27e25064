import { once } from 'node:events';
import { connect } from 'node:net';
import { eventually } from '../support/eventually';
import { startService } from '../support/service';
import type { Answer, Service } from '../support/service';
import { logsWorthTesting } from '../support/test-log';

type Detail = Answer['body']['data'];

describe.each(logsWorthTesting())('from a command to every surface, with the log in %s', (logKind) => {
  let service: Service;
  /** Waits for a position that is never reached, while the tests before its own run. */
  let tooEarly: Promise<Answer>;
  beforeAll(async () => {
    service = await startService({ logKind });
    tooEarly = service.admin.get('/admin/operations?minPosition=999999999999.1');
  });
  afterAll(() => service.close());

  async function queue(runId: string, tenantId: string | null = 't1', workspaceId = 'w1'): Promise<Answer> {
    const body = { runId, workspaceId, tenantId, type: 'sync', initiator: 'ann' };
    return service.admin.post('/operation-runs', body);
  }

  /** What every surface says of one run, as far as it shows it. */
  async function everywhere(runId: string, position: string, workspace = 'w1', tenant = 't1') {
    const at = `minPosition=${position}&asOf=${service.clock.now()}`;
    const tenantPath = `/workspaces/${workspace}/tenants/${tenant}/operations`;
    const lists: [string, Answer][] = [];
    for (const [caller, path] of [
      [service.admin, `${tenantPath}/recent`],
      [service.admin, `${tenantPath}/progress`],
      [service.admin, `${tenantPath}/notifications`],
      [service.admin, `/workspaces/${workspace}/operations/recent`],
      [service.admin, '/admin/operations'],
      [service.system, '/system/ops/runs'],
      [service.system, '/system/ops/failures'],
      [service.system, '/system/ops/stuck'],
    ] as const)
      lists.push([path, await caller.get(`${path}?limit=200&${at}`)]);
    const rows = new Map(
      lists.map(([path, { body }]) => [path, body.data.rows.find((row) => row.runId === runId)]),
    );
    const details = [
      await service.admin.get(`/admin/operations/${runId}?${at}`),
      await service.system.get(`/system/ops/runs/${runId}?${at}`),
    ];
    return { rows, details: details.map(({ body }) => body.data) as [Detail, Detail] };
  }

  const WORDS = [
    'problemClass',
    'freshness',
    'label',
    'why',
    'severity',
    'lineage',
    'version',
    'status',
    'outcome',
  ];
  const words = (row: Record<string, unknown> | undefined) =>
    Object.fromEntries(WORDS.map((word) => [word, row?.[word]]));

  test('a run that goes silent is stuck by the clock alone, then failed by the reconciler, then heard of late; every surface tells the same', async () => {
    await queue('silent');
    const started = await service.admin.post('/operation-runs/silent/start');
    expect(started).toMatchObject({
      status: 200,
      body: { version: 2, result: 'applied', status: 'running' },
    });

    const fresh = await everywhere('silent', started.body.position);
    expect(fresh.details[0]).toMatchObject({
      problemClass: 'none',
      freshness: 'fresh_active',
      status: 'running',
    });
    expect(fresh.rows.get('/system/ops/stuck')).toBeUndefined();

    const { staleAt } = fresh.details[0];
    service.clock.set(staleAt);
    expect((await everywhere('silent', started.body.position)).details[0].problemClass).toBe('none');
    service.clock.advance(0.001);
    const stale = await everywhere('silent', started.body.position);
    for (const path of [
      '/workspaces/w1/tenants/t1/operations/recent',
      '/workspaces/w1/tenants/t1/operations/progress',
      '/workspaces/w1/operations/recent',
      '/admin/operations',
      '/system/ops/runs',
      '/system/ops/stuck',
    ])
      expect({ path, ...words(stale.rows.get(path)) }).toEqual({ path, ...words(stale.details[0]) });
    expect(stale.details[0]).toMatchObject({
      problemClass: 'active_stale_attention',
      freshness: 'likely_stale',
    });
    expect(stale.rows.get('/system/ops/failures')).toBeUndefined();

    service.clock.set(stale.details[0].reconcileDueAt);
    service.clock.advance(1);
    const reconciled = await eventually(async () => {
      const { body } = await service.system.get('/system/ops/runs/silent');
      return body.data.lineage && body.data;
    });
    expect(reconciled).toMatchObject({
      status: 'completed',
      outcome: 'failed',
      problemClass: 'terminal_follow_up',
    });
    expect(reconciled.lineage).toMatchObject({
      firstStaleAt: staleAt,
      staleKind: 'stale_running',
      priorStatus: 'running',
      reconciledBy: 'reconciler',
    });

    const late = await service.admin.post('/operation-runs/silent/complete', { outcome: 'succeeded' });
    expect(late).toMatchObject({
      status: 200,
      body: { result: 'recorded_late', status: 'completed', outcome: 'failed' },
    });
    const after = await everywhere('silent', late.body.position);
    for (const path of [
      '/workspaces/w1/tenants/t1/operations/recent',
      '/workspaces/w1/operations/recent',
      '/admin/operations',
      '/system/ops/runs',
      '/system/ops/failures',
    ])
      expect({ path, ...words(after.rows.get(path)) }).toEqual({ path, ...words(after.details[1]) });
    expect(after.details[1].lineage).toMatchObject({
      ...reconciled.lineage,
      lateReport: { outcome: 'succeeded' },
    });
    expect(after.rows.get('/system/ops/stuck')).toBeUndefined();
    expect(after.rows.get('/workspaces/w1/tenants/t1/operations/progress')).toBeUndefined();
    expect(after.rows.get('/workspaces/w1/tenants/t1/operations/notifications')).toMatchObject({
      addressee: 'ann',
      severity: after.details[1].severity,
    });
  });

  test('the same Idempotency-Key gives the same answer, and one run', async () => {
    const body = { workspaceId: 'w1', tenantId: 't1', type: 'sync' };
    const key = { 'idempotency-key': 'queue-once' };
    const [first, second] = [
      await service.admin.post('/operation-runs', body, key),
      await service.admin.post('/operation-runs', body, key),
    ];
    expect(first.status).toBe(201);
    expect(second.text).toBe(first.text);
  });

  test('an operator retries a failed run: predecessor and successor know each other', async () => {
    await queue('broken');
    const failed = await service.admin.post('/operation-runs/broken/complete', {
      outcome: 'failed',
      failureSummary: [{ code: 'boom', message: 'it broke', count: 3 }],
    });
    const retried = await service.system.post('/system/ops/runs/broken/retry', { reason: 'mended' });
    expect(retried.status).toBe(200);
    const { successorRunId, position } = retried.body;
    const successor = await service.system.get(`/system/ops/runs/${successorRunId}?minPosition=${position}`);
    expect(successor.body.data).toMatchObject({ status: 'queued', predecessorRunId: 'broken' });
    const predecessor = await service.system.get(`/system/ops/runs/broken?minPosition=${position}`);
    expect(predecessor.body.data.successors).toEqual([expect.objectContaining({ runId: successorRunId })]);
    expect(predecessor.body.data.failures).toEqual([{ code: 'boom', message: 'it broke', count: 3 }]);
    expect(failed.body.version).toBe(2);
    const again = await service.system.post('/system/ops/runs/broken/retry', { reason: 'once more' });
    expect(again).toMatchObject({ status: 409, body: { code: 'successor_active' } });
  });

  test('overlay polling stops when nothing is active, and a 304 does not hide a deadline', async () => {
    const path = '/workspaces/w9/tenants/t9/operations/progress';
    expect((await service.admin.get(path)).body.data.poll).toEqual({ continue: false, afterSeconds: 10 });
    const queued = await queue('w9-run', 't9', 'w9');
    const shown = await service.admin.get(`${path}?minPosition=${queued.body.position}`);
    expect(shown.body.data.poll.continue).toBe(true);
    const etag = shown.headers.get('etag')!;
    const same = { 'if-none-match': etag };
    expect((await service.admin.get(path, same)).status).toBe(304);
    service.clock.set(shown.body.data.rows[0]!.staleAt);
    service.clock.advance(1);
    const crossed = await service.admin.get(path, same);
    expect(crossed.status).toBe(200);
    expect(crossed.body.data.rows[0]!.problemClass).toBe('active_stale_attention');
  });

  test('what happens out of scope changes no byte', async () => {
    const tenant = await service.as({ workspaces: [{ id: 'w1', tenants: ['t1'] }] });
    const paths = [
      '/workspaces/w1/tenants/t1/operations/summary',
      '/workspaces/w1/operations/summary',
      '/workspaces/w1/operations/recent',
      '/admin/operations',
    ].map((path) => `${path}?asOf=2026-06-01T00:00:00Z`);
    const look = () => Promise.all(paths.map(async (path) => (await tenant.get(path)).text));
    const before = await look();
    const hidden = [
      await queue('hidden-1', 't2'),
      await queue('hidden-2', null),
      await queue('hidden-3', 't1', 'w2'),
    ];
    await service.system.get(`/system/ops/summary?minPosition=${hidden[2]!.body.position}`);
    expect(await look()).toEqual(before);
    for (const path of ['/workspaces/w1/tenants/t2/operations/summary', '/workspaces/w2/operations/summary'])
      expect((await tenant.get(path)).status).toBe(404);
    expect((await tenant.get('/admin/operations/hidden-1')).status).toBe(404);
    expect((await tenant.post('/operation-runs/hidden-1/start')).status).toBe(404);
    expect((await tenant.get('/system/ops/summary')).status).toBe(403);
    expect((await service.system.get('/admin/operations')).status).toBe(403);
  });

  test('every bucket of every summary has exactly as many rows behind its link', async () => {
    const asOf = service.clock.now();
    const summaries: [Service['admin'], string][] = [
      [service.admin, '/workspaces/w1/tenants/t1/operations/summary'],
      [service.admin, '/workspaces/w1/operations/summary'],
      [service.system, '/system/ops/summary'],
    ];
    for (const [caller, path] of summaries) {
      const { body } = await caller.get(`${path}?asOf=${asOf}`);
      for (const [name, bucket] of Object.entries(body.data.buckets)) {
        const list = await caller.get(`${bucket.href}&limit=200`);
        expect({ path, name, rows: list.body.data.rows.length }).toEqual({ path, name, rows: bucket.value });
        expect(list.body.meta.filter.from).toBeDefined();
      }
    }
  });

  test('a client that was still sending a body over the limit met a reset connection and not the answer', async () => {
    const half = 'x'.repeat(700_000);
    const socket = connect(Number(new URL(service.url).port), '127.0.0.1');
    let answer = '';
    socket.setEncoding('utf8').on('data', (text: string) => (answer += text));
    const closed = once(socket, 'close');
    socket.write(
      'POST /operation-runs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n' +
        `content-length: ${2 * half.length}\r\n\r\n${half}`,
    );
    // The server has seen the head of the first request when it has answered others.
    for (let nth = 0; nth < 3; nth++) await service.admin.get('/admin/operations');
    expect(answer).toBe('');
    socket.end(half);
    await closed;
    expect(answer).toMatch(/^HTTP\/1.1 413 [^]*payload_too_large/);
  });

  test('wrong input is told in problem+json with a code', async () => {
    const cases: [Answer, number, string][] = [
      [await service.admin.get('/admin/operations?status=nonsense'), 400, 'invalid_request'],
      [await service.admin.get('/admin/operations?nonsense=1'), 400, 'invalid_request'],
      [await service.admin.get('/admin/operations?cursor=abc'), 400, 'invalid_cursor'],
      [await tooEarly, 503, 'position_not_reached'],
      [await service.admin.post('/operation-runs', { workspaceId: 'w1' }), 400, 'invalid_request'],
      [await service.admin.post('/operation-runs/silent/start'), 200, ''],
      [await service.admin.post('/operation-runs/broken/start'), 409, 'illegal_transition'],
      [await service.admin.post('/operation-runs/nobody/start'), 404, 'run_not_found'],
      [
        await service.admin.post('/operation-runs/broken/start', {}, { 'if-match': '"1"' }),
        412,
        'precondition_failed',
      ],
      [
        await service.system.post('/system/ops/runs/silent/mark-failed', { reason: 'x' }),
        409,
        'illegal_transition',
      ],
      [await service.system.post('/system/ops/runs/w9-run/mark-failed', {}), 422, 'reason_required'],
      [await service.admin.get('/nothing/here'), 404, 'route_not_found'],
    ];
    for (const [answer, status, code] of cases) {
      expect({ status: answer.status, code: answer.body.code ?? '' }).toEqual({ status, code });
      if (code) expect(answer.headers.get('content-type')).toContain('application/problem+json');
    }
    const illegal = await service.admin.post('/operation-runs/broken/start');
    expect(illegal.body).toMatchObject({ currentVersion: 3 });
    expect(illegal.body.allowedActions).toContain('resolve');
  });

  test('health tells the lag, metrics are served, the API is described', async () => {
    const ready = await service.system.get('/health/ready');
    expect(ready.body).toMatchObject({
      status: 'ready',
      checks: { projector: { detail: { lagEvents: 0 } } },
    });
    const api = await service.system.get('/openapi.json');
    expect(Object.keys(api.body.paths)).toEqual(
      expect.arrayContaining(['/operation-runs:batch', '/admin/operations', '/system/ops/summary']),
    );
  });
});
