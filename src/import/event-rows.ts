import { instantOf } from '../events/instant';
import type { RunCommand } from '../domain/decider';
import type { EventRowsMapping } from './mapping';
import { fieldsOf, originOf, orUnreadable, queueColumns, runIdColumn, UnreadableRow } from './row-fields';
import { timeReader } from './row-time';
import { completeCommand } from './statement';
import type { Reading, RowReader, SortedRowReader, SourceRow, Statement } from './statement';

const IGNORED: Reading = { kind: 'statements', statements: [] };

/** Reads rows that are one state change each. */
export function eventRowReader(mapping: EventRowsMapping): RowReader {
  const { columns, delimiter, event } = mapping;
  const runId = runIdColumn(columns, mapping.run_id);
  const time = timeColumn(mapping, columns);
  const codeIndex = columns.indexOf(event.column);
  const meanings = meaningsOf(mapping);

  return orUnreadable((row) => {
    const fields = fieldsOf(row, delimiter, columns.length);
    const code = fields[codeIndex]!;
    const meaning = meanings.get(code);
    if (!meaning) throw new UnreadableRow(`unknown code ${JSON.stringify(code)} in ${event.column}`);
    if (meaning === 'ignored') return IGNORED;
    const atMicros = time(fields);
    const command = meaning.command(fields, instantOf(atMicros));
    return one({ runId: runId(fields), command, atMicros, dueMicros: atMicros, detail: meaning.detail, row });
  });
}

/** Reads rows that are one heartbeat of their run each. */
export function heartbeatRowReader(mapping: EventRowsMapping): SortedRowReader | null {
  const { heartbeats, delimiter } = mapping;
  if (!heartbeats) return null;
  const { columns } = heartbeats;
  const runId = runIdColumn(columns, heartbeats.run_id);
  const time = timeColumn(mapping, columns);
  const statement = (row: SourceRow): Statement => {
    const fields = fieldsOf(row, delimiter, columns.length);
    const atMicros = time(fields);
    const command: RunCommand = { kind: 'progress', at: instantOf(atMicros), summaryCounts: null };
    // Several parts of one run may beat at the same instant: what else the row holds tells them apart.
    return { runId: runId(fields), command, atMicros, dueMicros: atMicros, detail: row.text, row };
  };
  return { read: orUnreadable((row) => one(statement(row))), statement };
}

interface Meaning {
  readonly detail: string;
  readonly command: (fields: readonly string[], at: string) => RunCommand;
}

function meaningsOf({ dataset, event, ...mapping }: EventRowsMapping): Map<string, Meaning | 'ignored'> {
  const queue = queueColumns({ dataset, ...mapping });
  const meanings = new Map<string, Meaning | 'ignored'>();
  for (const code of event.ignored) meanings.set(code, 'ignored');
  for (const code of event.queued) meanings.set(code, { detail: '', command: queue });
  for (const code of event.started)
    meanings.set(code, { detail: '', command: (_fields, at) => ({ kind: 'start', at }) });
  for (const [code, outcome] of Object.entries(event.outcomes)) {
    const reconciled = event.reconciled.includes(code);
    const reason = `reconciled by the source: ${event.column} ${code}`;
    meanings.set(code, {
      detail: outcome,
      command: (_fields, at) =>
        reconciled
          ? { kind: 'record-reconciliation', at, by: originOf(dataset), outcome, reason }
          : completeCommand(at, outcome),
    });
  }
  return meanings;
}

/** Reads the column that `time.column` names. */
function timeColumn(
  { time }: EventRowsMapping,
  columns: readonly string[],
): (fields: readonly string[]) => number {
  // The mapping's check has found the column in both lists.
  const name = time.column!;
  const index = columns.indexOf(name);
  const read = timeReader(time);
  return (fields) => {
    const atMicros = read(fields[index]!);
    if (atMicros === null) throw new UnreadableRow(`${name} is no time: ${JSON.stringify(fields[index])}`);
    return atMicros;
  };
}

function one(statement: Statement): Reading {
  return { kind: 'statements', statements: [statement] };
}
