import type { Instant } from '../events/instant';
import type { TerminalOutcome } from '../events/operation-run-events';
import type { RunCommand } from '../domain/decider';

/** A line of the source, as a reject names it. */
export interface SourceRow {
  readonly file: string;
  readonly line: number;
  readonly text: string;
}

/** One life-cycle command that a row stands for. */
export interface Statement {
  /** As the source knows the run; a later incarnation of it has `#2`, `#3` behind it. */
  readonly runId: string;
  readonly command: RunCommand;
  /** Source time of the command, microseconds since the epoch. */
  readonly atMicros: number;
  /** When it is its turn: its own time, or that of the row's earlier commands where a row contradicts itself. */
  readonly dueMicros: number;
  /** What tells it from another statement about the same run, of the same kind and time. */
  readonly detail: string;
  readonly row: SourceRow;
}

/** What a row says; an empty list for rows that mean nothing to us. */
export type Reading =
  | { readonly kind: 'statements'; readonly statements: readonly Statement[] }
  | { readonly kind: 'unreadable'; readonly reason: string };

export type RowReader = (row: SourceRow) => Reading;

/** Reads rows that are sorted by time before anything is done with them. */
export interface SortedRowReader {
  readonly read: RowReader;
  /** One statement of a row that has been read before, without the cost of the others. */
  readonly statement: (row: SourceRow, kind: string, dueMicros: number) => Statement;
}

export function completeCommand(
  at: Instant,
  outcome: TerminalOutcome,
  reason: string | null = null,
): Extract<RunCommand, { kind: 'complete' }> {
  return { kind: 'complete', at, outcome, summaryCounts: null, failureSummary: [], reasonCode: null, reason };
}
