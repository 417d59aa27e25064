import { Metrics } from '../../src/observability/metrics';
import { observeProjections } from '../../src/runtime/projection-observability';
import { createLease } from '../../src/projector/lease';
import { createProjectorHealth } from '../../src/projector/projector-role';
import { testClock } from '../support/database';
import { createProjectionFixture } from '../support/projection';
import type { ProjectionFixture } from '../support/projection';

const TTL_SECONDS = 5;

let fixture: ProjectionFixture;
beforeAll(async () => (fixture = await createProjectionFixture()));
afterEach(() => jest.restoreAllMocks());
afterAll(() => fixture.close());

function projectorProbe() {
  const { pool, store } = fixture;
  const observed = observeProjections({ pool, store, clock: testClock() }, new Metrics());
  return observed.probes(createProjectorHealth()).find(({ name }) => name === 'projector')!;
}

function withOurClock(aheadMs: number): void {
  const now = Date.now.bind(Date);
  jest.spyOn(Date, 'now').mockImplementation(() => now() + aheadMs);
}

it('was not ready while it projected, when our clock was ahead of the database by more than the lease', async () => {
  await createLease(fixture.pool, 'projector', 'here', TTL_SECONDS).hold();
  withOurClock(6_000);
  expect(await projectorProbe().check()).toMatchObject({ ok: true, detail: { running: true } });
});

it('was ready while nobody projected, when our clock was behind the database', async () => {
  await createLease(fixture.pool, 'projector', 'here', TTL_SECONDS).hold();
  await fixture.pool.query(`update opstruth.leases set expires_at = now() - interval '1 second'`);
  withOurClock(-6_000);
  expect(await projectorProbe().check()).toMatchObject({ ok: false, detail: { running: false } });
});

it('was ready beside a live generation of another version, which it can neither project nor read', async () => {
  await createLease(fixture.pool, 'projector', 'there', TTL_SECONDS).hold();
  const setDigest = (digest: string) =>
    fixture.pool.query('update opstruth.generations set surfaces_digest = $1', [digest]);
  await setDigest('another');
  expect(await projectorProbe().check()).toMatchObject({
    ok: false,
    detail: {
      running: true,
      failing: 'GenerationMismatchError',
      cause: `generation ${fixture.generation.id} has the read tables of another version of opstruth`,
    },
  });
  await setDigest(fixture.generation.surfacesDigest);
  expect(await projectorProbe().check()).toMatchObject({ ok: true, detail: { failing: null, cause: null } });
});
