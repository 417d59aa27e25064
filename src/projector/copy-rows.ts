import { finished } from 'node:stream/promises';
import type { PoolClient } from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import type { Columns, Row, Value } from './surface';

/** Rows as COPY reads them, made apart from sending so that no transaction is open meanwhile. */
export function copyText(columns: Columns, rows: readonly Row[]): string {
  const names = Object.keys(columns);
  let text = '';
  for (const row of rows) {
    for (let column = 0; column < names.length; column++)
      text += (column === 0 ? '' : '\t') + field(row[names[column]!] as Value);
    text += '\n';
  }
  return text;
}

/** Loads what `copyText` made into a table, inside the client's transaction. Rows must not be there yet. */
export async function copyIn(
  client: PoolClient,
  table: string,
  columns: Columns,
  text: string,
): Promise<void> {
  if (text === '') return;
  const stream = client.query(copyFrom(`copy ${table} (${Object.keys(columns).join(', ')}) from stdin`));
  const done = finished(stream);
  stream.end(text);
  await done;
}

function field(value: Value): string {
  if (value === null || value === undefined) return '\\N';
  if (typeof value !== 'string') return String(value);
  // Searches beat a regular expression on long texts, and hardly any text needs escaping.
  const plain =
    !value.includes('\\') && !value.includes('\t') && !value.includes('\n') && !value.includes('\r');
  return plain ? value : value.replace(/[\\\t\n\r]/g, escaped);
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
