import { BrokenFileError, contentOf, readLines } from './file-lines';
import type { Line } from './file-lines';
import type { ImportTally } from './import-report';
import type { SourceFile } from './source-files';
import type { RowReader, SourceRow, Statement } from './statement';

/** What reading needs beside the files: where rows are counted, and until when they count. */
export interface Intake {
  readonly tally: ImportTally;
  /** Statements due later than this, in microseconds, are left out. */
  readonly untilMicros: number;
  /** Told of the bytes read from the disk. */
  readonly onBytes: (bytes: number) => void;
}

/** The statements of files, one after the other, in batches. Rows and files that cannot be read go to the rejects. */
export async function* statementsIn(
  files: readonly SourceFile[],
  read: RowReader,
  rows: 'eventRows' | 'heartbeatRows',
  intake: Intake,
): AsyncGenerator<Statement[]> {
  for (const file of files) {
    intake.tally.files++;
    for await (const lines of linesOf(file, intake)) {
      intake.tally[rows] += lines.length;
      const statements: Statement[] = [];
      for (const line of lines) take(line, file.name, read, intake, statements);
      if (statements.length > 0) yield statements;
    }
  }
}

function take(
  line: Line,
  file: string,
  read: RowReader,
  { tally, untilMicros }: Intake,
  into: Statement[],
): void {
  const row: SourceRow = { file, line: line.line, text: line.text };
  const reading = line.flaw === null ? read(row) : ({ kind: 'unreadable', reason: line.flaw } as const);
  if (reading.kind === 'unreadable') {
    tally.reject('unreadable_row', { file, line: line.line, row: line.text }, reading.reason);
    return;
  }
  if (reading.statements.length === 0) tally.ignoredRows++;
  for (const statement of reading.statements) {
    if (statement.dueMicros > untilMicros) tally.afterUntil++;
    else into.push(statement);
  }
}

/** A file's lines up to where it breaks, if it does. */
async function* linesOf(file: SourceFile, { tally, onBytes }: Intake): AsyncGenerator<Line[]> {
  try {
    yield* readLines(contentOf(file.path), onBytes);
  } catch (error) {
    if (!(error instanceof BrokenFileError)) throw error;
    const reason = `the file cannot be read any further: ${error.cause.message}`;
    tally.reject('unreadable_file', { file: file.name, line: error.line, row: error.rest || null }, reason);
  }
}
