import type { Pool } from 'pg';
import { simulateWorkload } from '../../src/simulator/workload';
import { giveWayToLive } from '../../src/replay/build/give-way';
import { createProjectionFixture } from '../support/projection';
import type { ProjectionFixture } from '../support/projection';
import { eventually } from '../support/eventually';
import { WORKLOAD } from './replay-world';

const NEVER_MS = 60_000;

describe('a build gives way to the live generation', () => {
  let fixture: ProjectionFixture;
  let looks: number;
  let pool: Pool;

  beforeEach(async () => {
    fixture = await createProjectionFixture();
    looks = 0;
    pool = Object.assign(Object.create(fixture.pool) as Pool, {
      query: (...query: Parameters<Pool['query']>) => {
        looks += 1;
        return fixture.pool.query(...query);
      },
    });
    await fixture.write([...simulateWorkload({ ...WORKLOAD, runs: 3 })]);
  });
  afterEach(() => fixture.close());

  test('until that has come to where the log ended', async () => {
    const giveWay = giveWayToLive({ pool, store: fixture.store, patienceMs: NEVER_MS });
    let gone = false;
    const going = giveWay().then(() => (gone = true));
    await eventually(() => Promise.resolve(looks > 3));
    expect(gone).toBe(false);
    await fixture.catchUp();
    await going;
    looks = 0;
    await giveWay();
    expect(looks).toBe(1);
  });

  test('no longer than its patience, and not once more to one that nobody brings forward', async () => {
    const giveWay = giveWayToLive({ pool, store: fixture.store, patienceMs: 300 });
    await giveWay();
    expect(looks).toBeGreaterThan(1);
    looks = 0;
    await giveWay();
    expect(looks).toBe(1);
  });

  test('of which there is none: at once', async () => {
    await fixture.pool.query(`update opstruth.generations set state = 'standby'`);
    await giveWayToLive({ pool, store: fixture.store, patienceMs: NEVER_MS })();
  });
});
