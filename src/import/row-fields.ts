import { idSchema } from '../events/operation-run-events';
import type { RunCommand } from '../domain/decider';
import type { RowReader, SourceRow } from './statement';

/** A row that cannot be read; the message says why. Never leaves the readers. */
export class UnreadableRow extends Error {
  override readonly name = 'UnreadableRow';
}

/** Turns the readers' one exception into an answer. */
export function orUnreadable(read: RowReader): RowReader {
  return (row) => {
    try {
      return read(row);
    } catch (error) {
      if (error instanceof UnreadableRow) return { kind: 'unreadable', reason: error.message };
      throw error;
    }
  };
}

/** The row's fields. Throws UnreadableRow unless there are exactly as many as columns. */
export function fieldsOf(row: SourceRow, delimiter: string, columnCount: number): string[] {
  const fields = row.text.split(delimiter);
  if (fields.length !== columnCount)
    throw new UnreadableRow(`${fields.length} fields where ${columnCount} columns are named`);
  // Neither a log nor a table can hold it, in whatever column it stands.
  if (row.text.includes('\0')) throw new UnreadableRow('contains a NUL character');
  return fields;
}

/** Several columns as one text. */
export type Joined = (fields: readonly string[]) => string;

/** The columns' values joined by `/`; empty when all of them are. */
export function joinedColumns(columns: readonly string[], names: readonly string[]): Joined {
  const [only, ...more] = names.map((name) => columns.indexOf(name));
  if (only === undefined) return () => '';
  if (more.length === 0) return (fields) => fields[only]!;
  return (fields) => {
    const values = [only, ...more].map((index) => fields[index]!);
    return values.every((value) => value === '') ? '' : values.join('/');
  };
}

/** Room for `#2` and its successors within the length that ids have. */
const MAX_RUN_ID_LENGTH = 190;

/** The run's id. An id of several parts needs them all: `a/` and `/a` would be guesses. */
export function runIdColumn(columns: readonly string[], names: readonly string[]): Joined {
  const indexes = names.map((name) => columns.indexOf(name));
  const joined = joinedColumns(columns, names);
  return (fields) => {
    for (const index of indexes)
      if (fields[index] === '') throw new UnreadableRow(`no run id: ${columns[index]} is empty`);
    const runId = requiredId('run id', joined(fields));
    if (runId.length > MAX_RUN_ID_LENGTH)
      throw new UnreadableRow(`the run id is longer than ${MAX_RUN_ID_LENGTH} characters`);
    return runId;
  };
}

interface DefinitionColumns {
  readonly columns: readonly string[];
  readonly workspace: readonly string[];
  readonly tenant: readonly string[];
  readonly operation_type: readonly string[];
  readonly initiator: readonly string[];
  readonly dataset: string;
}

export type QueueCommand = Extract<RunCommand, { kind: 'queue' }>;

/** The command that begins a run, from the columns that define runs. */
export function queueColumns(
  mapping: DefinitionColumns,
): (fields: readonly string[], at: string) => QueueCommand {
  const joined = (names: readonly string[]) => joinedColumns(mapping.columns, names);
  const workspace = joined(mapping.workspace);
  const tenant = joined(mapping.tenant);
  const type = joined(mapping.operation_type);
  const initiator = joined(mapping.initiator);
  const origin = originOf(mapping.dataset);
  return (fields, at) => ({
    kind: 'queue',
    at,
    workspaceId: requiredId('workspace', workspace(fields)),
    tenantId: optionalId('tenant', tenant(fields)),
    type: requiredId('operation type', type(fields)),
    initiator: optionalId('initiator', initiator(fields)),
    context: {},
    summaryCounts: null,
    predecessorRunId: null,
    origin,
  });
}

/** What an import is called wherever the log says who or whence. */
export function originOf(dataset: string): string {
  return `import:${dataset}`;
}

function requiredId(what: string, text: string): string {
  if (text === '') throw new UnreadableRow(`no ${what}`);
  const problem = idSchema.safeParse(text).error?.issues[0];
  if (problem) throw new UnreadableRow(`bad ${what}: ${problem.message}`);
  return text;
}

function optionalId(what: string, text: string): string | null {
  return text === '' ? null : requiredId(what, text);
}
