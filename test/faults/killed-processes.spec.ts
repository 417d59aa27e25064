import { START } from '../../src/events/position';
import { generationById } from '../../src/projector/generations';
import { startReplay } from '../../src/replay/replays';
import { createRandom } from '../../src/simulator/random';
import { simulateWorkload } from '../../src/simulator/workload';
import type { WorkloadOptions } from '../../src/simulator/workload';
import { testClock } from '../support/database';
import { runScript } from '../support/child-process';
import type { TestProcess } from '../support/child-process';
import { createProjectionFixture, dumpGeneration } from '../support/projection';
import type { ProjectionFixture } from '../support/projection';
import { eventually } from '../support/eventually';

const WORKLOAD: WorkloadOptions = {
  seed: 3,
  runs: 900,
  start: '2026-01-01T00:00:00.000Z',
  meanGapSeconds: 5,
  workspaces: 3,
  tenantsPerWorkspace: 4,
  meanRunSeconds: 240,
  heartbeatSeconds: 60,
  idPrefix: 'run-',
};
const OPERATOR = { actor: 'test', reason: null };
const KILLS = 20;

describe('processes that are killed or paused', () => {
  let fixture: ProjectionFixture;
  const processes: TestProcess[] = [];

  beforeEach(async () => {
    fixture = await createProjectionFixture();
  });
  afterEach(async () => {
    for (const { child } of processes) child.kill('SIGKILL');
    await Promise.all(processes.splice(0).map(({ ended }) => ended));
    await fixture.close();
  });

  function run(script: string, ...args: string[]): TestProcess {
    const started = runScript(script, fixture.databaseUrl, JSON.stringify(fixture.log), ...args);
    processes.push(started);
    return started;
  }

  test('a rebuild killed twenty times at random resumes each time and ends equal, row for row', async () => {
    const random = createRandom(6);
    await fixture.write(simulateWorkload(WORKLOAD));
    const { pool, store, options, judge } = fixture;
    const context = { pool, store, surfaces: options.surfaces, clock: testClock(), judge: () => judge };
    const generation = await startReplay(context, { full: true }, OPERATOR);
    let kills = 0;
    const phases: string[] = [];
    for (let ready = false; !ready;) {
      const builder = run('build-script.ts', String(generation.id));
      // Folding goes on where it was; loading, in log order, is begun anew, so that only a long sitting gets through it.
      const longest = (phases.at(-1) ?? 'folding') === 'folding' ? 3 : 12;
      const steps = kills < KILLS ? random.integer(1, longest) : Number.MAX_SAFE_INTEGER;
      for (let step = 0; step < steps && !ready; step++) {
        const line = await builder.line((text) => text === 'step' || text === 'ready');
        if (line === null) throw new Error('the builder ended by itself');
        ready = line === 'ready';
      }
      if (!ready) {
        builder.child.kill('SIGKILL');
        kills += 1;
        phases.push((await generationById(pool, generation.id))!.phase);
      }
      await builder.ended;
    }
    expect(kills).toBe(KILLS);
    const parts = store.readByStream ? ['folding', 'indexing'] : ['folding', 'loading', 'indexing'];
    expect(phases).toEqual(expect.arrayContaining(parts));
    await fixture.catchUp(fixture.generation);
    expect(await dumpGeneration(pool, generation.schema)).toEqual(
      await dumpGeneration(pool, fixture.generation.schema),
    );
  }, 180_000);

  test('a projector stopped by SIGSTOP is replaced; continued, it is fenced and applies nothing twice', async () => {
    const history = [...simulateWorkload({ ...WORKLOAD, runs: 120 })];
    const half = Math.floor(history.length / 2);
    const first = run('projector-script.ts', 'first');
    await fixture.write(history.slice(0, half));
    await first.line((line) => line.startsWith('batch'));
    first.child.kill('SIGSTOP');
    const second = run('projector-script.ts', 'second');
    await fixture.write(history.slice(half));
    const isDone = async () => {
      const applied = (await generationById(fixture.pool, fixture.generation.id))!.eventsApplied;
      return applied === (await fixture.store.pending(START, 1_000_000)).events;
    };
    await second.line((line) => line.startsWith('batch'));
    await eventually(isDone);
    first.child.kill('SIGCONT');
    await fixture.write([...simulateWorkload({ ...WORKLOAD, seed: 4, runs: 40, idPrefix: 'after-' })]);
    await eventually(isDone);
    const reference = await fixture.anotherGeneration();
    await fixture.catchUp(reference);
    expect(await dumpGeneration(fixture.pool, fixture.generation.schema)).toEqual(
      await dumpGeneration(fixture.pool, reference.schema),
    );
  });
});
