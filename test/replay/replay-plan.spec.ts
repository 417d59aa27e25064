import { planReplay } from '../../src/replay/replay-plan';
import { AS_OF, createReplayWorld } from './replay-world';

test('a plan that met facts it could not judge never answered, and kept its connection', async () => {
  const { fixture, context } = await createReplayWorld();
  const { pool, generation } = fixture;
  try {
    // More than it reads at once.
    await pool.query(
      `insert into ${generation.schema}.run_facts
         (run_id, workspace_id, facts, run, position, incomplete, active, problem_class)
       select 'spoilt-' || n, 'w1', '{"status":7}', '{}', '1.1', false, true, 'none' from generate_series(1, 5000) n`,
    );
    await expect(planReplay(context, {}, AS_OF)).rejects.toThrow();
    expect(pool.idleCount).toBe(pool.totalCount);
  } finally {
    await fixture.close();
  }
});
