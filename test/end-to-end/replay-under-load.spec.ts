import { surfaces } from '../../projections/surfaces';
import { openPool } from '../../src/db/database';
import { generationById, liveGeneration } from '../../src/projector/generations';
import { judgeFor } from '../../src/projector/live-classification';
import { cutOver, DEFAULT_FORBIDDEN, rollBack } from '../../src/replay/cutover';
import { startReplay } from '../../src/replay/replays';
import { commandLine } from '../../src/simulator/command-line';
import { simulateWorkload } from '../../src/simulator/workload';
import { eventually } from '../support/eventually';
import { startService } from '../support/service';
import type { Answer, Service } from '../support/service';
import { openTestStore } from '../support/test-log';

const OPERATOR = { actor: 'test', reason: 'a test' };

describe('start, cutover and rollback under queries and commands', () => {
  let service: Service;
  beforeAll(async () => {
    service = await startService();
  });
  afterAll(() => service.close());

  test('no query fails, none mixes generations, and every command becomes visible', async () => {
    const commands = [
      ...simulateWorkload({
        seed: 21,
        runs: 150,
        start: '2025-12-31T00:00:00.000Z',
        meanGapSeconds: 20,
        workspaces: 2,
        tenantsPerWorkspace: 3,
        meanRunSeconds: 120,
        heartbeatSeconds: 60,
        idPrefix: 'load-',
      }),
    ].filter(({ command }) => command.at < service.clock.now());
    const before = await service.admin.post('/operation-runs:batch', {
      commands: commands.slice(0, 300).map(commandLine),
    });
    expect(before.status).toBe(200);

    const pool = openPool(service.databaseUrl, { max: 3, applicationName: 'operator' });
    const store = openTestStore(service.log, pool);
    const live = (await liveGeneration(pool))!;
    const judge = await judgeFor(pool, live);
    const context = { pool, store, surfaces, clock: service.clock, judge: () => judge };
    const asOf = service.clock.now();

    let over = false;
    const answers: Answer[] = [];
    const query = async () => {
      for (let n = 0; !over; n++) {
        const paths = ['/system/ops/summary', '/system/ops/runs?limit=20', '/system/ops/stuck?limit=20'];
        answers.push(await service.system.get(paths[n % paths.length]!));
      }
    };
    const write = async () => {
      for (let next = 300; next < commands.length; next += 5) {
        const { body, status } = await service.admin.post('/operation-runs:batch', {
          commands: commands.slice(next, next + 5).map(commandLine),
        });
        expect(status).toBe(200);
        const position = body.results
          .map((result) => result.position)
          .findLast((token) => token !== undefined);
        if (position === undefined) continue;
        const visible = await service.system.get(`/system/ops/summary?minPosition=${position}`);
        expect(visible.status).toBe(200);
        answers.push(visible);
      }
    };
    const operate = async () => {
      const next = await startReplay(context, { full: true }, OPERATOR);
      await eventually(async () => (await generationById(pool, next.id))!.state === 'ready');
      await cutOver(
        context,
        next.id,
        { gate: { maxChangePercent: 0, forbidden: DEFAULT_FORBIDDEN }, force: false, asOf },
        OPERATOR,
      );
      expect((await liveGeneration(pool))!.id).toBe(next.id);
      await service.system.get('/system/ops/summary');
      expect(await rollBack(context, OPERATOR)).toMatchObject({ from: next.id, to: live.id });
      return next.id;
    };
    const querying = [query(), query()];
    const [, next] = await Promise.all([write(), operate()]);
    over = true;
    await Promise.all(querying);

    expect(answers.length).toBeGreaterThan(20);
    expect(answers.map(({ status }) => status).filter((status) => status !== 200)).toEqual([]);
    const generations = new Set(answers.map(({ body }) => body.meta.generation));
    expect([...generations].every((one) => one === live.id || one === next)).toBe(true);
    for (const { body } of answers) {
      if (!('buckets' in body.data)) continue;
      const { total, none, active_stale_attention: stale, terminal_follow_up: ended } = body.data.buckets;
      // A mixture of two generations at two positions would not add up.
      expect(none!.value + stale!.value + ended!.value).toBe(total!.value);
    }
    await store.close();
    await pool.end();
  }, 120_000);
});
