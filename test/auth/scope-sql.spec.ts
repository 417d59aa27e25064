import { fc, TIMES } from '../support/properties';
import { Kysely, PostgresDialect, sql } from 'kysely';
import { canSee } from '../../src/auth/principal';
import type { Grant, Scope } from '../../src/auth/principal';
import { inScope, narrow } from '../../src/auth/scope-sql';
import { createTestDatabase } from '../support/database';
import type { TestDatabase } from '../support/database';

const WORKSPACES = ['w1', 'w2', 'w3'];
const TENANTS = ['t1', 't2', null];
const ROWS = WORKSPACES.flatMap((workspaceId) => TENANTS.map((tenantId) => ({ workspaceId, tenantId })));

const grants = fc.array(
  fc.record<Grant>({
    workspaceId: fc.constantFrom(...WORKSPACES),
    tenantIds: fc.option(fc.subarray(['t1', 't2'])),
  }),
  { maxLength: 4 },
);
const scopes: fc.Arbitrary<Scope> = fc.oneof(
  fc.constant<Scope>({ kind: 'everything' }),
  grants.map((some): Scope => ({ kind: 'grants', grants: some })),
);

const grant = (workspaceId: string, tenantIds: string[] | null): Scope => ({
  kind: 'grants',
  grants: [{ workspaceId, tenantIds }],
});

describe('a scope in SQL', () => {
  let database: TestDatabase;
  let db: Kysely<unknown>;

  beforeAll(async () => {
    database = await createTestDatabase({ max: 2 });
    db = new Kysely({ dialect: new PostgresDialect({ pool: database.pool }) });
  });

  afterAll(() => database.close());

  async function seen(scope: Scope) {
    const { rows } = await sql<{ workspaceId: string; tenantId: string | null }>`
      select r.w as "workspaceId", r.t as "tenantId"
        from unnest(${ROWS.map((row) => row.workspaceId)}::text[], ${ROWS.map((row) => row.tenantId)}::text[])
          with ordinality as r (w, t, n)
       where ${inScope(scope, { workspace: 'r.w', tenant: 'r.t' })}
       order by r.n`.execute(db);
    return rows;
  }

  test('sees exactly what canSee sees', async () => {
    await fc.assert(
      fc.asyncProperty(scopes, async (scope) => {
        const expected = ROWS.filter(({ workspaceId, tenantId }) => canSee(scope, workspaceId, tenantId));
        expect(await seen(scope)).toEqual(expected);
      }),
      { numRuns: 100 * TIMES },
    );
  });

  test('no grants see nothing', async () => {
    expect(await seen({ kind: 'grants', grants: [] })).toEqual([]);
  });

  test('narrowed to a path, it sees the path and what it saw before, nothing else', async () => {
    const path = fc.record({
      workspaceId: fc.constantFrom(...WORKSPACES),
      tenantId: fc.constantFrom('t1', 't2', undefined),
    });
    await fc.assert(
      fc.asyncProperty(scopes, path, async (scope, { workspaceId, tenantId }) => {
        const narrowed = narrow(scope, workspaceId, tenantId);
        const expected = ROWS.filter(
          (row) =>
            row.workspaceId === workspaceId &&
            (tenantId === undefined || row.tenantId === tenantId) &&
            canSee(scope, row.workspaceId, row.tenantId),
        );
        expect(narrowed ? await seen(narrowed) : []).toEqual(expected);
      }),
      { numRuns: 100 * TIMES },
    );
  });
});

describe('a path', () => {
  test('out of scope is null, not an empty scope', () => {
    expect(narrow(grant('w1', null), 'w2')).toBeNull();
    expect(narrow(grant('w1', ['t1']), 'w1', 't2')).toBeNull();
    expect(narrow(grant('w1', []), 'w1')).toBeNull();
    expect(narrow({ kind: 'grants', grants: [] }, 'w1')).toBeNull();
  });

  test("of a workspace opens to a grant of some tenants, and shows these tenants' runs only", () => {
    expect(narrow(grant('w1', ['t1']), 'w1')).toEqual(grant('w1', ['t1']));
  });

  test('of a tenant in a whole workspace shows that tenant only', () => {
    expect(narrow(grant('w1', null), 'w1', 't9')).toEqual(grant('w1', ['t9']));
  });
});
