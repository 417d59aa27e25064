import { surfaces } from '../../projections/surfaces';
import { adminToken, createReadFixture, systemToken } from './read-fixture';
import type { ReadFixture } from './read-fixture';

/** Every route of a surface that reads its tables. */
const ROUTES: Readonly<Record<string, readonly string[]>> = {
  'tenant-dashboard': [
    '/workspaces/w1/tenants/t1/operations/summary',
    '/workspaces/w1/tenants/t1/operations/attention',
  ],
  'workspace-overview': ['/workspaces/w1/operations/summary', '/workspaces/w1/operations/attention'],
  'recent-operations': ['/workspaces/w1/tenants/t1/operations/recent', '/workspaces/w1/operations/recent'],
  'progress-overlay': ['/workspaces/w1/tenants/t1/operations/progress', '/workspaces/w1/operations/progress'],
  'operations-hub': ['/admin/operations', '/admin/operations?workspace=w1&tenant=t1&type=sync'],
  'run-detail': ['/admin/operations/r1', '/system/ops/runs/r1'],
  'system-runs': ['/system/ops/summary', '/system/ops/runs', '/system/ops/runs?type=sync'],
  'system-failures': ['/system/ops/failures'],
  'system-stuck': ['/system/ops/stuck'],
  notifications: [
    '/workspaces/w1/tenants/t1/operations/notifications',
    '/workspaces/w1/operations/notifications',
    '/system/ops/notifications',
  ],
};

let fixture: ReadFixture;
beforeAll(async () => void (fixture = await createReadFixture()));
afterAll(() => fixture.close());

test.each(surfaces.map((surface) => [surface.name, surface] as const))(
  '%s answers from the tables that it names and no other',
  async (name, surface) => {
    await fixture.startOver([surface]);
    const [admin, system] = [await adminToken(), await systemToken()];
    for (const route of ROUTES[name]!) {
      const { status } = await fixture.get(route, route.startsWith('/system') ? system : admin);
      // Not 503, with which a generation answers that has not what is read.
      expect([route, status]).toEqual([route, name === 'run-detail' ? 404 : 200]);
    }
  },
);
