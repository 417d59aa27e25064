import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { RunCommandExecutor } from '../../src/commands/run-command-executor';
import { SnapshotReader } from '../../src/db/snapshot-reader';
import { streamOf } from '../../src/events/operation-run-events';
import { DiscardedEvents } from '../../src/projector/discarded-events';
import { discardParked } from '../../src/projector/parked-streams';
import { testClock } from '../support/database';
import { createProjectionFixture, dumpGeneration } from '../support/projection';
import type { ProjectionFixture } from '../support/projection';
import { queueCommand } from '../support/queue-command';
import { unableToShow } from '../support/unable-to-show';
import { adminToken, createReadApp, getFrom, systemToken } from './read-fixture';

const AT = '2026-01-01T00:00:00.000Z';

const queue = (runId: string, tenantId: string) => ({ runId, command: queueCommand(AT, { tenantId }) });

let fixture: ProjectionFixture;
let app: NestFastifyApplication;
beforeAll(async () => {
  fixture = await createProjectionFixture();
  const { pool } = fixture;
  app = await createReadApp(new SnapshotReader(pool, { lookups: pool }), testClock(AT));
  await fixture.write([queue('bad', 't1'), queue('good', 't2')]);
  await fixture.catchUp();
});
afterAll(async () => {
  await app.close();
  await fixture.close();
});

interface Page {
  status: string;
  decisionZone: { actions: { name: string; allowed: boolean; reason: string | null }[] };
  timeline: { event: string }[];
  discardedEvents: object[];
}
const pageOf = async (runId: string, token: string, path = 'system/ops/runs', query = '') =>
  getFrom<{ data: Page }>(app, `/${path}/${runId}${query}`, token);

test('a run whose newest retry was discarded was said to be retried by it for ever', async () => {
  const failed = { kind: 'complete', at: AT, outcome: 'failed', summaryCounts: null } as const;
  const retry = { kind: 'retry', at: AT, successorRunId: 'again', reason: null } as const;
  await fixture.write([
    queue('once', 't1'),
    { runId: 'once', command: { ...failed, failureSummary: [], reasonCode: null, reason: null } },
    { runId: 'once', command: { ...retry, activeSuccessorRunId: null } },
  ]);
  await fixture.writeRaw('again', 0, 'OperationRunQueued', {});
  await fixture.catchUp();
  const operator = await systemToken(['ops.triage']);
  const retryOn = async () =>
    (await pageOf('once', operator)).body.data.decisionZone.actions.find(({ name }) => name === 'retry');
  expect(await retryOn()).toMatchObject({ allowed: false, reason: 'run again already retries this one' });

  const decision = { actor: 'olga', reason: 'written by a broken deployment' };
  await discardParked(fixture.generation, streamOf('again'), decision, fixture.options);
  expect(await retryOn()).toMatchObject({ allowed: true, reason: null });
});

test('an event that folds and was left out by an operator left no mark on the page of its run', async () => {
  const everything = await systemToken();
  const broken = unableToShow(fixture.options.surfaces, ({ facts }) => facts.startedAt !== null);
  await fixture.write([{ runId: 'bad', command: { kind: 'start', at: AT } }]);
  await fixture.catchUp(fixture.generation, { surfaces: broken });
  expect((await pageOf('bad', everything)).body.data.discardedEvents).toEqual([]);
  const discards = new DiscardedEvents(fixture.pool);
  const executor = new RunCommandExecutor({ store: fixture.store, judge: () => fixture.judge, discards });
  expect(await executor.factsOf('bad')).toMatchObject({ status: 'running' });
  const decision = { actor: 'olga', reason: 'shown by a broken deployment' };
  const result = await discardParked(fixture.generation, streamOf('bad'), decision, fixture.options);
  expect(result.kind).toBe('cleared');
  // Commands are decided on the run that the page shows.
  await discards.refresh();
  expect(await executor.factsOf('bad')).toMatchObject({ status: 'queued', version: 2 });

  const page = await pageOf('bad', everything);
  expect(page.body.data).toMatchObject({
    status: 'queued',
    timeline: [{ event: 'OperationRunQueued' }],
    discardedEvents: [
      {
        event: 'OperationRunStarted',
        revision: 1,
        at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3,6}Z$/) as string,
        ...decision,
      },
    ],
  });
  const inAdmin = await pageOf('bad', await adminToken(), 'admin/operations');
  expect(inAdmin.body.data.discardedEvents).toEqual(page.body.data.discardedEvents);
  expect((await pageOf('good', everything)).body.data.discardedEvents).toEqual([]);
  const elsewhere = await adminToken([{ id: 'w1', tenants: ['t2'] }]);
  expect(await pageOf('bad', elsewhere, 'admin/operations')).toMatchObject({ status: 404 });

  // Another generation says the same, from the log's first event on.
  const again = await fixture.anotherGeneration();
  await fixture.catchUp(again);
  await fixture.pool.query(`update opstruth.generations set state = 'ready' where id = $1`, [again.id]);
  const live = await dumpGeneration(fixture.pool, fixture.generation.schema);
  expect(await dumpGeneration(fixture.pool, again.schema)).toEqual(live);
  const there = await pageOf('bad', everything, 'system/ops/runs', `?generation=${again.id}`);
  expect(there.body.data.discardedEvents).toEqual(page.body.data.discardedEvents);
});
