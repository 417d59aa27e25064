import type { PoolClient, QueryResultRow } from 'pg';
import Cursor from 'pg-cursor';

/**
 * The rows of a query, page by page, within the client's transaction. The next page is on its way while the consumer works on
 * this one. However the consumer ends, the cursor is closed: a statement behind an open one would wait for ever.
 */
export async function* cursorPages<Row extends QueryResultRow>(
  client: PoolClient,
  text: string,
  rowsPerPage: number,
): AsyncGenerator<Row[], void, void> {
  const cursor = client.query(new Cursor<Row>(text));
  let reading = cursor.read(rowsPerPage);
  try {
    for (let rows = await reading; rows.length > 0; rows = await reading) {
      reading = cursor.read(rowsPerPage);
      reading.catch(() => undefined); // awaited at the next turn or below
      yield rows;
    }
  } finally {
    await Promise.allSettled([reading]);
    await cursor.close();
  }
}
