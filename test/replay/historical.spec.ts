import { streamOf } from '../../src/events/operation-run-events';
import { formatPosition, START } from '../../src/events/position';
import { listParked } from '../../src/projector/parked-streams';
import { checkCutover } from '../../src/replay/cutover';
import { retireGeneration, startReplay } from '../../src/replay/replays';
import { AS_OF, createReplayWorld, GATE, OPERATOR, WORKLOAD } from './replay-world';
import type { ReplayWorld } from './replay-world';

describe('historical generations', () => {
  let fixture: ReplayWorld['fixture'];
  let context: ReplayWorld['context'];
  let build: ReplayWorld['build'];

  beforeEach(async () => {
    ({ fixture, context, build } = await createReplayWorld());
  });
  afterEach(() => fixture.close());

  test('a historical generation shows what had happened by then, stays there, and cannot go live', async () => {
    const until = '2026-01-01T00:20:00.000Z';
    const built = await build(await startReplay(context, { until: { at: until } }, OPERATOR));
    const { rows } = await fixture.pool.query<{ runs: number }>(
      `select count(*)::int as runs from ${built.schema}.run_facts`,
    );
    const queued = await fixture.store.readAll(START, 1_000_000, { types: ['OperationRunQueued'] });
    const expected = queued.filter(({ data }) => (data as { occurredAt: string }).occurredAt <= until);
    expect(rows[0]!.runs).toBe(expected.length);
    expect(rows[0]!.runs).toBeGreaterThan(50);
    expect(rows[0]!.runs).toBeLessThan(WORKLOAD.runs);
    await expect(checkCutover(context, built.id, GATE, AS_OF)).rejects.toThrow('historical');
    await retireGeneration(context, built.id, OPERATOR);
  });

  test('a historical generation shows what happened at the very instant', async () => {
    const queued = await fixture.store.readAll(START, 1_000, { types: ['OperationRunQueued'] });
    const { streamId, data } = queued[20]!;
    const until = { at: (data as { occurredAt: string }).occurredAt };
    const built = await build(await startReplay(context, { until }, OPERATOR));
    const { rows } = await fixture.pool.query(
      `select from ${built.schema}.run_facts where $1 = '${streamOf('')}' || run_id`,
      [streamId],
    );
    expect(rows).toHaveLength(1);
  });

  test('a payload without any members ended every build up to an instant', async () => {
    const payloads = [null, 7, 'text', {}];
    for (const [n, data] of payloads.entries())
      await fixture.writeRaw(`no-members-${n}`, 0, 'OperationRunQueued', data);
    const built = await build(await startReplay(context, { until: { at: AS_OF } }, OPERATOR));
    expect(built.state).toBe('ready');
    const parked = (await listParked(fixture.pool, built)).map(({ streamId }) => streamId);
    expect(parked.sort()).toEqual(payloads.map((_, n) => streamOf(`no-members-${n}`)));
  });

  test('a historical generation up to an end that is still to come is refused', async () => {
    const tomorrow = '2026-01-02T00:00:00.000Z';
    await expect(startReplay(context, { until: { at: tomorrow } }, OPERATOR)).rejects.toMatchObject({
      code: 'unprocessable',
      message: `${tomorrow} is in the future: it is ${AS_OF} here`,
    });
    const tail = await fixture.store.tail();
    const beyond = { commit: tail.commit, prepare: tail.prepare + 1n };
    await expect(startReplay(context, { until: { position: beyond } }, OPERATOR)).rejects.toMatchObject({
      code: 'unprocessable',
      message: expect.stringMatching(/is beyond the end of the log, which is at/) as string,
    });
    // Now, and the last event, are there.
    for (const until of [{ at: AS_OF }, { position: tail }]) await startReplay(context, { until }, OPERATOR);
    const { rows } = await fixture.pool.query<{ until: string }>(
      `select details->>'until' as until from opstruth.audit_entries where action = 'replay.start' order by id`,
    );
    expect(rows).toEqual([{ until: AS_OF }, { until: formatPosition(tail) }]);
  });
});
