import { sentence } from '../domain/failure-summary';
import { instantOf } from '../events/instant';
import type { RunRowsMapping } from './mapping';
import { fieldsOf, orUnreadable, queueColumns, runIdColumn, UnreadableRow } from './row-fields';
import { timeReader } from './row-time';
import { completeCommand } from './statement';
import type { SortedRowReader, SourceRow, Statement } from './statement';

const MAX_REASON_LENGTH = 500;

/** In the order of a life cycle, which is also that of a row's statements. */
const KINDS = ['queue', 'start', 'complete'] as const;
type Kind = (typeof KINDS)[number];

/**
 * Reads rows that are one run each: up to three statements a row. Those of a row whose own times contradict their order wait
 * for the ones before them.
 */
export function runRowReader(mapping: RunRowsMapping): SortedRowReader {
  const { columns, delimiter } = mapping;
  const runId = runIdColumn(columns, mapping.run_id);
  const queue = queueColumns(mapping);
  const outcome = outcomeColumn(mapping);
  const started = instantColumn(mapping, mapping.started);
  const neverStarted = neverStartedColumn(mapping);
  const instants: Record<Kind, InstantColumn> = {
    queue: instantColumn(mapping, mapping.queued),
    start: (fields) => (neverStarted(fields) ? null : started(fields)),
    complete: instantColumn(mapping, mapping.completed),
  };

  const say = (
    row: SourceRow,
    fields: readonly string[],
    kind: Kind,
    atMicros: number,
    dueMicros: number,
  ) => {
    const about = { runId: runId(fields), row, atMicros, dueMicros };
    const at = instantOf(atMicros);
    switch (kind) {
      case 'queue':
        return { ...about, detail: '', command: queue(fields, at) };
      case 'start':
        return { ...about, detail: '', command: { kind, at } as const };
      case 'complete': {
        const how = outcome(fields);
        return { ...about, detail: how.outcome, command: completeCommand(at, how.outcome, how.reason) };
      }
    }
  };

  return {
    read: orUnreadable((row) => {
      const fields = fieldsOf(row, delimiter, columns.length);
      const statements: Statement[] = [];
      let dueMicros = Number.NEGATIVE_INFINITY;
      for (const kind of KINDS) {
        const atMicros = instants[kind](fields);
        if (atMicros === null) {
          if (kind === 'queue') throw new UnreadableRow(`no time of queueing: ${mapping.queued} is empty`);
          continue;
        }
        dueMicros = Math.max(dueMicros, atMicros);
        statements.push(say(row, fields, kind, atMicros, dueMicros));
      }
      return { kind: 'statements', statements };
    }),
    statement: (row, kind, dueMicros) => {
      const fields = fieldsOf(row, delimiter, columns.length);
      const known = KINDS.find((each) => each === kind);
      const atMicros = known ? instants[known](fields) : null;
      if (!known || atMicros === null)
        throw new Error(`${row.file} line ${row.line} said ${kind} and no longer does: ${row.text}`);
      return say(row, fields, known, atMicros, dueMicros);
    },
  };
}

/** Null for an absent instant. */
type InstantColumn = (fields: readonly string[]) => number | null;

function instantColumn({ time, columns }: RunRowsMapping, column: string | undefined): InstantColumn {
  if (column === undefined) return () => null;
  const index = columns.indexOf(column);
  const read = timeReader(time);
  return (fields) => {
    const text = fields[index]!;
    if (text === '') return null;
    const atMicros = read(text);
    if (atMicros === null) throw new UnreadableRow(`${column} is no time: ${JSON.stringify(text)}`);
    return atMicros;
  };
}

function neverStartedColumn({
  never_started,
  columns,
}: RunRowsMapping): (fields: readonly string[]) => boolean {
  if (!never_started) return () => false;
  const index = columns.indexOf(never_started.column);
  const values = new Set(never_started.values);
  return (fields) => values.has(fields[index]!);
}

function outcomeColumn({ outcome, columns }: RunRowsMapping) {
  const index = columns.indexOf(outcome.column);
  const outcomes = new Map(Object.entries(outcome.map));
  return (fields: readonly string[]) => {
    const text = fields[index]!;
    const cut = outcome.cut_at === undefined ? -1 : text.indexOf(outcome.cut_at);
    const word = cut === -1 ? text : text.slice(0, cut);
    const mapped = outcomes.get(word);
    if (!mapped) throw new UnreadableRow(`unknown outcome ${JSON.stringify(word)} in ${outcome.column}`);
    // What was cut off (by whom, where) is the source's only word on why.
    return { outcome: mapped, reason: cut === -1 ? null : sentence(text, MAX_REASON_LENGTH) };
  };
}
