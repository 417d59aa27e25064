import type { ProblemClass } from '../domain/classification';
import { PROBLEM_CLASSES } from '../domain/classification';

/** `absent`: the run is in one of the two generations only (a stream parked in the other, or a shorter history). */
export type MatrixClass = ProblemClass | 'absent';

export interface Transition {
  readonly workspaceId: string;
  readonly from: MatrixClass;
  readonly to: MatrixClass;
  readonly runs: number;
}

/** One run that changes class, and the first thing that differs between the two judgements of it. */
export interface Sample {
  readonly workspaceId: string;
  readonly runId: string;
  readonly from: MatrixClass;
  readonly to: MatrixClass;
  readonly because: string;
}

/** Old class -> new class of every run at one instant. */
export interface Comparison {
  readonly asOf: string;
  readonly runs: number;
  readonly changed: number;
  /** `changed` in percent of `runs`. */
  readonly changedPercent: number;
  /** By workspace, then from, then to; unchanged runs are among them. */
  readonly matrix: readonly Transition[];
  readonly samples: readonly Sample[];
}

export const SAMPLES_PER_TRANSITION = 3;

interface Cell {
  readonly transition: Omit<Transition, 'runs'>;
  runs: number;
  /** Those with the smallest ids, in order. */
  readonly samples: Sample[];
}

/** Counts transitions as runs come by, and keeps the same samples of each in whatever order they come. */
export class MatrixTally {
  private readonly cells = new Map<string, Cell>();

  /** Runs that both judge alike. */
  addUnchanged(workspaceId: string, problemClass: ProblemClass, runs: number): void {
    this.cellOf({ workspaceId, from: problemClass, to: problemClass }).runs += runs;
  }

  /** `because` is asked only where the class changes and the run is wanted as a sample. */
  add(at: Omit<Transition, 'runs'> & { readonly runId: string }, because: () => string): void {
    const { workspaceId, from, to, runId } = at;
    const cell = this.cellOf({ workspaceId, from, to });
    cell.runs += 1;
    if (from === to) return;
    const { samples } = cell;
    if (samples.length === SAMPLES_PER_TRANSITION && samples.at(-1)!.runId < runId) return;
    samples.push({ workspaceId, runId, from, to, because: because() });
    samples.sort((a, b) => (a.runId < b.runId ? -1 : 1)).splice(SAMPLES_PER_TRANSITION);
  }

  private cellOf(transition: Omit<Transition, 'runs'>): Cell {
    const key = JSON.stringify([transition.workspaceId, transition.from, transition.to]);
    const known = this.cells.get(key);
    if (known) return known;
    const cell = { transition, runs: 0, samples: [] };
    this.cells.set(key, cell);
    return cell;
  }

  comparison(asOf: string): Comparison {
    const cells = [...this.cells.values()];
    return comparisonOf(
      asOf,
      cells.map(({ transition, runs }) => ({ ...transition, runs })),
      cells.flatMap(({ samples }) => samples),
    );
  }
}

export function comparisonOf(
  asOf: string,
  matrix: readonly Transition[],
  samples: readonly Sample[],
): Comparison {
  const runs = matrix.reduce((sum, transition) => sum + transition.runs, 0);
  const changed = matrix.reduce((sum, one) => sum + (one.from === one.to ? 0 : one.runs), 0);
  return {
    asOf,
    runs,
    changed,
    changedPercent: runs === 0 ? 0 : (changed * 100) / runs,
    matrix: [...matrix].sort(byPlace),
    samples: [...samples].sort((a, b) => byPlace(a, b) || (a.runId < b.runId ? -1 : 1)),
  };
}

const ORDER: readonly MatrixClass[] = [...PROBLEM_CLASSES, 'absent'];

function byPlace(a: Omit<Transition, 'runs'>, b: Omit<Transition, 'runs'>): number {
  if (a.workspaceId !== b.workspaceId) return a.workspaceId < b.workspaceId ? -1 : 1;
  return ORDER.indexOf(a.from) - ORDER.indexOf(b.from) || ORDER.indexOf(a.to) - ORDER.indexOf(b.to);
}
