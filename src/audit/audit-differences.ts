import { isDeepStrictEqual } from 'node:util';
import { micros } from '../events/instant';
import type { Column, Columns, Row, Value } from '../projector/surface';

/** One place where the tables do not say what they should. */
export interface AuditDifference {
  /** Null where many runs are counted together: `cell` says which. */
  readonly runId: string | null;
  readonly cell?: Row;
  readonly table: string;
  /** `(row)` where a whole row is missing or too many; `facts.outcome` inside a JSON column. */
  readonly column: string;
  readonly stored: unknown;
  readonly expected: unknown;
}

/** Counts every difference and keeps the first few: a broken table must not become a report of its own size. */
export class Differences {
  private readonly kept: AuditDifference[] = [];
  private counted = 0;

  constructor(private readonly limit = 100) {}

  get count(): number {
    return this.counted;
  }

  get first(): readonly AuditDifference[] {
    return this.kept;
  }

  add(difference: AuditDifference): void {
    this.counted += 1;
    if (this.kept.length < this.limit) this.kept.push(difference);
  }

  /** Compares one number of a count over many runs. */
  addCount(table: string, column: string, cell: Row, stored: number, expected: number): void {
    if (stored !== expected) this.add({ runId: null, cell, table, column, stored, expected });
  }

  /** Compares a run's row as `storedColumns` read it with the row that it should have; null is no row. */
  addRow(
    table: { readonly name: string; readonly columns: Columns },
    runId: string,
    stored: Row | null,
    expected: Row | null,
  ): void {
    if (!stored || !expected) {
      if (stored ?? expected)
        this.add({
          runId,
          table: table.name,
          column: '(row)',
          stored: stored ? 'present' : 'missing',
          expected: expected ? 'present' : 'missing',
        });
      return;
    }
    for (const [name, column] of Object.entries(table.columns))
      for (const difference of valuesApart(name, column, stored[name] ?? null, expected[name] ?? null))
        this.add({ runId, table: table.name, ...difference });
  }
}

type Apart = Pick<AuditDifference, 'column' | 'stored' | 'expected'>;

function valuesApart(name: string, { type }: Column, stored: Value, expected: Value): Apart[] {
  if (stored === expected) return [];
  const apart = [{ column: name, stored, expected }];
  if (stored === null || expected === null) return apart;
  switch (type) {
    case 'timestamptz':
      return micros(String(stored)) === micros(String(expected)) ? [] : apart;
    case 'json':
      return jsonApart(name, JSON.parse(String(stored)), JSON.parse(String(expected)));
    case 'numeric':
      return String(stored) === String(expected) ? [] : apart;
    case 'text':
    case 'int':
    case 'boolean':
      return apart;
  }
}

/** Member by member, so that a report names the fact and not the whole document. */
function jsonApart(name: string, stored: unknown, expected: unknown): Apart[] {
  if (isDeepStrictEqual(stored, expected)) return [];
  if (!isRecord(stored) || !isRecord(expected)) return [{ column: name, stored, expected }];
  return [...new Set([...Object.keys(stored), ...Object.keys(expected)])]
    .filter((key) => !isDeepStrictEqual(stored[key], expected[key]))
    .map((key) => ({
      column: `${name}.${key}`,
      stored: stored[key] ?? null,
      expected: expected[key] ?? null,
    }));
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
