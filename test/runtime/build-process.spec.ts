import { generationById } from '../../src/projector/generations';
import { abortReplay, startReplay } from '../../src/replay/replays';
import { runScript } from '../support/child-process';
import { dumpGeneration } from '../support/projection';
import { createReplaysFixture } from '../replay/replays-app';

const OPERATOR = { actor: 'test', reason: null };

describe('a build in a process of its own', () => {
  let fixture: Awaited<ReturnType<typeof createReplaysFixture>>;

  beforeEach(async () => {
    fixture = await createReplaysFixture('postgres');
  });
  afterEach(() => fixture.close());

  const start = (request: Parameters<typeof startReplay>[1]) =>
    startReplay(fixture.context, request, OPERATOR);

  async function inProcess(id: number, ...more: string[]): Promise<unknown> {
    const process = runScript('build-process-script.ts', fixture.databaseUrl, String(id), ...more);
    const line = await process.line((text) => text.startsWith('{'));
    await process.ended;
    return JSON.parse(line ?? 'null');
  }

  test.each([
    ['the log', true],
    ['run facts', false],
  ])('from %s it makes the generation that a build in place makes, row for row', async (_, full) => {
    const { pool, stricter, context } = fixture;
    const { id, schema, madeBy } = await start({ policyVersion: stricter, full });
    expect(madeBy).toBe(full ? 'full' : 'facts');
    expect(await inProcess(id)).toEqual({ kind: 'returned' });
    expect(await generationById(pool, id)).toMatchObject({ state: 'ready', failure: null });
    const rows = await dumpGeneration(pool, schema);
    await abortReplay(context, id, OPERATOR);
    const another = await start({ policyVersion: stricter, full: true });
    await fixture.build(another.id);
    expect(rows).toEqual(await dumpGeneration(pool, another.schema));
  });

  test('asked to stop it returns and leaves the rest to whoever builds next', async () => {
    const { pool } = fixture;
    const { id } = await start({ full: true });
    expect(await inProcess(id, 'stop')).toEqual({ kind: 'returned' });
    expect(await generationById(pool, id)).toMatchObject({ state: 'building' });
    await fixture.build(id);
    expect(await generationById(pool, id)).toMatchObject({ state: 'ready' });
  });

  test('that a replay was ended by an operator arrives as such', async () => {
    const { context } = fixture;
    const { id } = await start({ full: true });
    await abortReplay(context, id, OPERATOR);
    expect(await inProcess(id)).toEqual({
      kind: 'threw',
      name: 'ReplayEndedError',
      message: `replay ${id} is failed: nothing is left to build`,
    });
  });

  test('what a build fails of arrives with its message', async () => {
    const { pool } = fixture;
    const { id, schema } = await start({ full: true });
    await pool.query(`drop table ${schema}.run_facts`);
    expect(await inProcess(id)).toEqual({
      kind: 'threw',
      name: 'Error',
      message: `relation "${schema}.run_facts" does not exist`,
    });
  });

  test('a process that is killed fails the build, which says so', async () => {
    const { id } = await start({ full: true });
    expect(await inProcess(id, 'killed')).toEqual({
      kind: 'threw',
      name: 'Error',
      message:
        'the process of the build ended by SIGKILL: somebody killed it, or the system for want of memory',
    });
    expect(await generationById(fixture.pool, id)).toMatchObject({ state: 'building' });
  });
});
