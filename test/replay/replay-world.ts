import { parsePolicy } from '../../src/classifier/policy';
import { generationById } from '../../src/projector/generations';
import type { Generation } from '../../src/projector/generations';
import { judgeFor } from '../../src/projector/live-classification';
import { savePolicy } from '../../src/projector/policies';
import { cutOver, DEFAULT_FORBIDDEN } from '../../src/replay/cutover';
import { buildGeneration } from '../../src/replay/build/generation-build';
import { startReplay } from '../../src/replay/replays';
import type { OperatorContext } from '../../src/replay/operator-context';
import { simulateWorkload } from '../../src/simulator/workload';
import type { WorkloadOptions } from '../../src/simulator/workload';
import { testClock } from '../support/database';
import { createProjectionFixture, TEST_POLICY } from '../support/projection';
import type { LogKind } from '../support/test-log';

export const WORKLOAD: WorkloadOptions = {
  seed: 11,
  runs: 300,
  start: '2026-01-01T00:00:00.000Z',
  meanGapSeconds: 10,
  workspaces: 3,
  tenantsPerWorkspace: 4,
  meanRunSeconds: 240,
  heartbeatSeconds: 60,
  idPrefix: 'run-',
};
export const AS_OF = '2026-01-01T00:52:00.000Z';
export const OPERATOR = { actor: 'test', reason: null };
export const GATE = { maxChangePercent: 5, forbidden: DEFAULT_FORBIDDEN };

/** A projected history up to `AS_OF`, and a stricter policy. */
export async function createReplayWorld(logKind?: LogKind) {
  const fixture = await createProjectionFixture(TEST_POLICY, logKind);
  const { pool, store, options, judge } = fixture;
  const context: OperatorContext = {
    pool,
    store,
    surfaces: options.surfaces,
    clock: testClock(AS_OF),
    judge: () => judge,
  };
  // History up to AS_OF: what is active then is neither over nor reconciled.
  await fixture.write([...simulateWorkload(WORKLOAD)].filter(({ command }) => command.at <= AS_OF));
  await fixture.catchUp();
  const policy = parsePolicy({
    defaults: { ...TEST_POLICY.defaults, runningStaleAfterSeconds: 120 },
    outcomeClasses: { partially_succeeded: 'none', cancelled: 'terminal_follow_up' },
  });
  const stricter = await savePolicy(pool, policy, 'test', null);
  const build = async (
    generation: Generation,
    signal = new AbortController().signal,
  ): Promise<Generation> => {
    await buildGeneration(generation.id, { ...options, judge: await judgeFor(pool, generation) }, signal);
    return (await generationById(pool, generation.id))!;
  };
  /** Builds a generation with the same rules and makes it live. */
  const goTo = async (): Promise<number> => {
    const { id } = await build(await startReplay(context, {}, OPERATOR));
    await cutOver(context, id, { gate: GATE, force: false, asOf: AS_OF }, OPERATOR);
    return id;
  };
  return { fixture, context, stricter, build, goTo };
}
export type ReplayWorld = Awaited<ReturnType<typeof createReplayWorld>>;
