import type { PoolClient, QueryResultRow } from 'pg';
import Cursor from 'pg-cursor';

/**
 * The rows of a query, page by page, within the client's transaction. The next page is on its way while the consumer works on
 * this one. However the consumer ends, the cursor is closed: a statement behind an open one would wait for ever. So would
 * whoever reads on or closes after the session has ended, of which a cursor tells nobody.
 */
export async function* cursorPages<Row extends QueryResultRow>(
  client: PoolClient,
  text: string,
  rowsPerPage: number,
): AsyncGenerator<Row[], void, void> {
  let tellEnd = (): void => undefined;
  const ended = new Promise<never>((_, reject) => {
    tellEnd = () => reject(new Error('Connection terminated while its rows were read'));
  });
  ended.catch(() => undefined); // told by whatever waits for the cursor
  client.once('end', tellEnd);
  const cursor = client.query(new Cursor<Row>(text));
  const read = () => {
    const reading = Promise.race([cursor.read(rowsPerPage), ended]);
    reading.catch(() => undefined); // awaited at the next turn or below
    return reading;
  };
  let reading = read();
  try {
    for (let rows = await reading; rows.length > 0; rows = await reading) {
      reading = read();
      yield rows;
    }
  } finally {
    await Promise.allSettled([reading]);
    await Promise.race([cursor.close(), ended]).catch(() => undefined); // what went wrong has been told, or nobody asks
    client.off('end', tellEnd);
  }
}
