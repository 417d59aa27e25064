import { openPool } from '../../src/db/database';
import { createTestDatabase } from '../support/database';

test('a server that compiles statements compiled each of ours, for seconds where it runs for milliseconds', async () => {
  const database = await createTestDatabase();
  const { pool, url } = database;
  const other = openPool(url, { max: 1, applicationName: 'test' });
  try {
    await pool.query(
      `do $$ begin execute format('alter database %I set jit = on', current_database()); end $$`,
    );
    expect((await other.query('show jit')).rows).toEqual([{ jit: 'off' }]);
  } finally {
    await other.end();
    await database.close();
  }
});
