import { once } from 'node:events';
import { finished } from 'node:stream/promises';
import type { PoolClient } from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import type { Columns, Row, Value } from './surface';

/** Characters sent to the socket at a time. */
const CHUNK_CHARS = 64 * 1024;

/** Loads rows into a table by COPY, inside the client's transaction. Rows whose key exists already fail the statement. */
export async function copyRows(
  client: PoolClient,
  table: string,
  columns: Columns,
  rows: readonly Row[],
): Promise<void> {
  if (rows.length === 0) return;
  const names = Object.keys(columns);
  const stream = client.query(copyFrom(`copy ${table} (${names.join(', ')}) from stdin`));
  const done = finished(stream);
  let text = '';
  for (const row of rows) {
    for (let column = 0; column < names.length; column++)
      text += (column === 0 ? '' : '\t') + field(row[names[column]!] as Value);
    text += '\n';
    if (text.length < CHUNK_CHARS) continue;
    if (!stream.write(text)) await Promise.race([once(stream, 'drain'), done]);
    text = '';
  }
  stream.end(text);
  await done;
}

function field(value: Value): string {
  if (value === null || value === undefined) return '\\N';
  if (typeof value !== 'string') return String(value);
  return /[\\\t\n\r]/.test(value) ? value.replace(/[\\\t\n\r]/g, escaped) : value;
}

function escaped(character: string): string {
  switch (character) {
    case '\t':
      return '\\t';
    case '\n':
      return '\\n';
    case '\r':
      return '\\r';
    default:
      return '\\\\';
  }
}
