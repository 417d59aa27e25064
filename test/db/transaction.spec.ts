import { createTestDatabase } from '../support/database';
import type { TestDatabase } from '../support/database';
import { asOnlyOperator } from '../../src/replay/replays';

describe('a transaction', () => {
  let database: TestDatabase;
  beforeEach(async () => (database = await createTestDatabase()));
  afterEach(() => database.close());

  test('that failed because its session was ended told that it could not be rolled back, and not why', async () => {
    const { pool } = database;
    const work = asOnlyOperator({ pool }, (client) =>
      client.query('select pg_terminate_backend(pg_backend_pid())'),
    );
    await expect(work).rejects.toMatchObject({ code: '57P01' });
    // And nobody gets the broken connection afterwards.
    const { rows } = await asOnlyOperator({ pool }, (client) => client.query('select 1 as one'));
    expect(rows).toEqual([{ one: 1 }]);
  });
});
