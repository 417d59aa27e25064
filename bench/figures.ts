/** One measured number. `aim` and `limit` are in the same unit; null where there is none. */
export interface Figure {
  /** Stable: scripts compare figures of different runs by it. */
  readonly name: string;
  readonly value: number;
  readonly unit: 'events/s' | 'commands/s' | 'queries/s' | 'runs/s' | 'ms' | 'MB' | 'runs';
  readonly aim: number | null;
  /** What this machine could do at best at that job, measured in the same run. */
  readonly limit: number | null;
}

export type Unit = Figure['unit'];

/** Units of which more is better; of the others less is. */
const RATES: ReadonlySet<Unit> = new Set(['events/s', 'commands/s', 'queries/s', 'runs/s']);

export function figure(
  name: string,
  value: number,
  unit: Unit,
  { aim = null, limit = null }: { readonly aim?: number | null; readonly limit?: number | null } = {},
): Figure {
  return { name, value: rounded(value), unit, aim, limit: limit === null ? null : rounded(limit) };
}

/** Four significant digits: more would claim what no two runs agree on. */
function rounded(value: number): number {
  return Number(value.toPrecision(4));
}

/** Null where there is no aim. */
export function meetsAim({ value, unit, aim }: Figure): boolean | null {
  if (aim === null) return null;
  return RATES.has(unit) ? value >= aim : value <= aim;
}

/** The value at `percent` of the sorted sample (nearest rank). Throws on an empty sample, which measures nothing. */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const value = sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)];
  if (value === undefined) throw new Error('a percentile of no values');
  return value;
}

const HEAD = ['figure', 'measured', 'unit', 'aim', 'met', 'machine limit', 'measured/limit'] as const;
/** The first and the third column are words. */
const LEFT: ReadonlySet<number> = new Set([0, 2, 4]);

export function tableOf(figures: readonly Figure[]): string[] {
  const rows = figures.map((one) => {
    const met = meetsAim(one);
    return [
      one.name,
      spelled(one.value),
      one.unit,
      one.aim === null ? '-' : spelled(one.aim),
      met === null ? '' : met ? 'yes' : 'NO',
      one.limit === null ? '-' : spelled(one.limit),
      one.limit === null || one.limit === 0 ? '-' : (one.value / one.limit).toFixed(2),
    ];
  });
  const widths = HEAD.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]!.length)),
  );
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, column) =>
        LEFT.has(column) ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!),
      )
      .join('  ')
      .trimEnd();
  return [line(HEAD), ...rows.map(line)];
}

function spelled(value: number): string {
  return value.toLocaleString('en', { maximumFractionDigits: 2 });
}
