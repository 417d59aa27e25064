import type { ClassifiedRun } from '../../src/classifier/classified-run';
import { runRowSchema } from '../../src/classifier/run-row';
import {
  at,
  classified,
  completedRun,
  lateSuccess,
  queuedRun,
  reconciledRun,
  runningRun,
} from '../classifier/run-facts';
import { adminToken, createReadFixture, systemToken } from './read-fixture';
import type { ReadFixture } from './read-fixture';

interface Linked {
  runId: string;
  href: string;
  status: string;
  label: string;
}
interface Detail {
  label: string;
  why: string;
  guidance: string;
  problemClass: string;
  failures: unknown;
  context: unknown;
  timeline: unknown;
  lineage: { lateReport?: { outcome: string } };
  href: string;
  decisionZone: {
    what: string;
    why: string;
    next: string;
    evidence: { label: string; value: string }[];
    actions: { name: string; allowed: boolean; reason: string | null }[];
  };
  predecessors: Linked[];
  successors: Linked[];
}

let fixture: ReadFixture;
beforeAll(async () => {
  fixture = await createReadFixture();
  fixture.clock.set(at(1200));
});
afterAll(() => fixture.close());
afterEach(() => fixture.clear());

async function detailOf(runId: string, token?: string, plane: 'admin' | 'system' = 'system') {
  const path = plane === 'system' ? '/system/ops/runs' : '/admin/operations';
  const by = token ?? (plane === 'system' ? await systemToken(['ops.triage']) : await adminToken());
  return fixture.get<{ data: Detail }>(`${path}/${encodeURIComponent(runId)}`, by);
}

async function allowedOn(run: ClassifiedRun, plane: 'admin' | 'system' = 'system') {
  await fixture.show([run]);
  const all =
    plane === 'system' ? systemToken(['ops.triage']) : adminToken('*', ['runs.write', 'runs.triage']);
  const { body } = await detailOf(run.facts.runId, await all, plane);
  return Object.fromEntries(body.data.decisionZone.actions.map(({ name, reason }) => [name, reason]));
}

const queuedEntry = {
  event: 'OperationRunQueued' as const,
  at: at(0),
  actor: 'ann',
  plane: 'admin',
  note: null,
  count: 1,
  lastAt: at(0),
};

test('the page holds the row of the lists, and beside it the whole story', async () => {
  const failures = [{ code: 'disk_full', message: 'no space left', count: 2 }];
  const run = completedRun({
    runId: 'a/b c',
    outcome: 'failed',
    failureSummary: failures,
    context: { source: { bucket: 'x' } },
    timeline: [queuedEntry],
  });
  await fixture.show([classified(run)]);
  const { status, body } = await detailOf('a/b c');
  expect(status).toBe(200);
  expect(runRowSchema.safeParse(body.data).error).toBeUndefined();
  expect(body.data).toMatchObject({
    runId: 'a/b c',
    failures,
    context: { source: { bucket: 'x' } },
    timeline: [queuedEntry],
    predecessors: [],
    successors: [],
    href: '/system/ops/runs/a%2Fb%20c?from=run-detail',
  });
  const { label, why, guidance, decisionZone } = body.data;
  expect(decisionZone).toMatchObject({ what: label, why, next: guidance });
  expect(decisionZone.evidence).toContainEqual({ label: 'Failure', value: 'disk_full (2): no space left' });
});

test('a reconciled run keeps its lineage, with the late report that came after', async () => {
  await fixture.show([classified(reconciledRun({}, { lateReport: lateSuccess }))]);
  const { body } = await detailOf('run-1');
  expect(body.data.lineage.lateReport).toMatchObject({ outcome: 'succeeded' });
  expect(body.data.decisionZone.evidence.map(({ label }) => label)).toContain('Late report');
});

test.each(['admin', 'system'] as const)(
  'the %s page of a cancelled run gave its resolution as the reason why it cannot be cancelled',
  async (plane) => {
    const run = classified(completedRun({ outcome: 'cancelled' }));
    expect((await allowedOn(run, plane)).cancel).toBe('it is cancelled already');
  },
);

test('a run out of scope is not there', async () => {
  await fixture.show([classified(completedRun({ tenantId: null }))]);
  const limited = await adminToken([{ id: 'w1', tenants: ['t1'] }]);
  const hidden = await detailOf('run-1', limited, 'admin');
  const missing = await detailOf('no-such-run', limited, 'admin');
  expect([hidden.status, missing.status]).toEqual([404, 404]);
  const words = ({ body }: typeof hidden) => ({ ...body, instance: null });
  expect(words(hidden)).toEqual(words(missing));
});

test('runs that are linked by retry are named with their own words and pages', async () => {
  await fixture.show(
    [
      completedRun({ runId: 'first', outcome: 'failed', successorRunIds: ['second', 'third', 'unborn'] }),
      completedRun({ runId: 'second', outcome: 'failed', predecessorRunId: 'first', queuedAt: at(200) }),
      runningRun({ runId: 'third', predecessorRunId: 'first', queuedAt: at(400), startedAt: at(410) }),
    ].map((facts) => classified(facts)),
  );
  const first = (await detailOf('first')).body.data;
  expect(first.successors.map(({ runId, status }) => [runId, status])).toEqual([
    ['third', 'running'],
    ['second', 'completed'],
  ]);
  expect(first.successors[0]!.href).toBe('/system/ops/runs/third?from=run-detail');
  const third = (await detailOf('third')).body.data;
  expect(third.predecessors.map(({ runId, label }) => [runId, label])).toEqual([['first', 'Failed']]);
});

describe('the actions', () => {
  test('on a fresh run: to cancel it, and the reason why nothing else', async () => {
    expect(await allowedOn(classified(runningRun({ lastHeartbeatAt: at(1190) })))).toEqual({
      retry: expect.stringContaining('it is running') as string,
      cancel: null,
      'mark-failed': expect.stringContaining('fresh until') as string,
      'mark-investigated': expect.stringContaining('no problem') as string,
      reopen: expect.any(String) as string,
    });
  });

  test('on a stuck run: to cancel it, mark it failed, or investigate it', async () => {
    expect(await allowedOn(classified(queuedRun()))).toMatchObject({
      cancel: null,
      'mark-failed': null,
      'mark-investigated': null,
    });
  });

  test('on a failed run: to retry or investigate it; on an investigated one to reopen it', async () => {
    const failed = completedRun({ outcome: 'failed' });
    expect(await allowedOn(classified(failed))).toMatchObject({ retry: null, 'mark-investigated': null });
    const investigated = classified({ ...failed, resolution: 'investigated', version: 4 });
    await fixture.clear();
    const actions = await allowedOn(investigated);
    expect(actions.reopen).toBeNull();
    expect(actions['mark-investigated']).not.toBeNull();
  });

  test('no retry while the newest one is under way, or not yet to be seen', async () => {
    await fixture.show([classified(queuedRun({ runId: 'next', predecessorRunId: 'run-1' }))]);
    const failed = (newest: string) => completedRun({ outcome: 'failed', successorRunIds: ['next', newest] });
    expect((await allowedOn(classified(failed('unborn')))).retry).toContain('unborn');
    await fixture.show([classified(completedRun({ runId: 'unborn', predecessorRunId: 'run-1' }))]);
    const { body } = await detailOf('run-1');
    expect(body.data.decisionZone.actions.find(({ name }) => name === 'retry')?.allowed).toBe(true);
  });

  test('none on a run of which the log holds more than could be applied', async () => {
    const reasons = Object.values(await allowedOn({ ...classified(queuedRun()), incomplete: true }));
    expect(new Set(reasons)).toEqual(
      new Set(['one of its events could not be applied, and waits for an operator']),
    );
  });

  test('a retry where another run has taken the id of the newest one', async () => {
    await fixture.show([classified(queuedRun({ runId: 'taken' }))]);
    const failed = completedRun({ outcome: 'failed', successorRunIds: ['taken'] });
    expect((await allowedOn(classified(failed))).retry).toBeNull();
  });

  test('are those of the plane, and need its capability', async () => {
    const run = classified(queuedRun());
    expect(Object.keys(await allowedOn(run, 'admin'))).toEqual(['cancel', 'resolve', 'reopen']);
    const { body } = await detailOf('run-1', await systemToken([]));
    expect(body.data.decisionZone.actions.map(({ allowed }) => allowed)).not.toContain(true);
    expect(body.data.decisionZone.actions[0]!.reason).toBe('this needs the capability ops.triage');
  });
});
