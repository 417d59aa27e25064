import type { Instant } from '../events/instant';
import { instantOf } from '../events/instant';
import { COUNTED_STATES } from './run-story';
import type { CountedState, Outcome, RunWork } from './run-story';
import type { RejectsFile } from './rejects-file';
import type { Statement } from './statement';

/** What an import did. Rows and commands are counted, so that nothing of the source goes missing unseen. */
export interface ImportReport {
  readonly dataset: string;
  readonly files: number;
  /** Rows read, of all files; empty lines are none. */
  readonly rows: number;
  /** Rows of the mapping's `files`; for NDJSON, lines. */
  readonly eventRows: number;
  /** Rows of `heartbeats.files`. */
  readonly heartbeatRows: number;
  /** Rows that mean nothing by the mapping. */
  readonly ignoredRows: number;
  /** Commands later than `--until`. */
  readonly afterUntil: number;
  readonly eventsAppended: number;
  /** Commands whose event an earlier import has written. */
  readonly eventsAlreadyStored: number;
  /** Commands that left their run as it was. */
  readonly commandsUnchanged: number;
  /** Runs queued a second time while active, where rows are state changes. */
  readonly queuedAgain: number;
  /** Commands on runs that no row before them has queued. */
  readonly skippedUnknownRun: number;
  readonly heartbeatsAfterEnd: number;
  /** Rows, commands and files in the rejects file. */
  readonly rejected: number;
  readonly rejectedByReason: Readonly<Record<string, number>>;
  /** Runs that the source told of. */
  readonly runs: number;
  /** The same runs by the state in which they now are: the status while active, then the outcome. */
  readonly byStatusAndOutcome: Readonly<Record<CountedState, number>>;
  /** The earliest and the latest instant of a command that was carried out or found stored. */
  readonly firstAt: Instant | null;
  readonly lastAt: Instant | null;
  readonly seconds: number;
  readonly eventsPerSecond: number;
  readonly rejectsFile: string | null;
  /** True when it was stopped before the end of the source; the same import again goes on from there. */
  readonly interrupted: boolean;
}

/** The numbers of an import under way. */
export class ImportTally {
  files = 0;
  eventRows = 0;
  heartbeatRows = 0;
  ignoredRows = 0;
  afterUntil = 0;
  appended = 0;
  stored = 0;
  unchanged = 0;
  queuedAgain = 0;
  unknownRun = 0;
  heartbeatsAfterEnd = 0;
  readonly rejectedByReason: Record<string, number> = {};
  private readonly states = new Map<CountedState, number>(COUNTED_STATES.map((state) => [state, 0]));
  private firstMicros = Number.POSITIVE_INFINITY;
  private lastMicros = Number.NEGATIVE_INFINITY;

  constructor(private readonly rejects: RejectsFile) {}

  reject(code: string, at: { file: string; line: number | null; row: string | null }, reason: string): void {
    this.rejectedByReason[code] = (this.rejectedByReason[code] ?? 0) + 1;
    this.rejects.add({ ...at, reason });
  }

  /** Counts what one run's statements came to, and the states in which they leave it. */
  settled(work: RunWork): void {
    work.outcomes.forEach((outcome, index) => this.count(outcome, work.statements[index]!));
    const { story } = work;
    for (const [incarnation, state] of work.states) {
      this.moveRun(story.counted?.incarnation === incarnation ? story.counted.state : null, state);
      story.counted = { incarnation, state };
    }
  }

  /** Moves a run from one state to another in the counts; from null when it is seen for the first time. */
  moveRun(from: CountedState | null, to: CountedState): void {
    if (from !== null) this.states.set(from, this.states.get(from)! - 1);
    this.states.set(to, this.states.get(to)! + 1);
  }

  happenedAt(atMicros: number): void {
    this.firstMicros = Math.min(this.firstMicros, atMicros);
    this.lastMicros = Math.max(this.lastMicros, atMicros);
  }

  report(end: Pick<ImportReport, 'dataset' | 'seconds' | 'rejectsFile' | 'interrupted'>): ImportReport {
    const states = Object.fromEntries(this.states) as Record<CountedState, number>;
    return {
      dataset: end.dataset,
      files: this.files,
      rows: this.eventRows + this.heartbeatRows,
      eventRows: this.eventRows,
      heartbeatRows: this.heartbeatRows,
      ignoredRows: this.ignoredRows,
      afterUntil: this.afterUntil,
      eventsAppended: this.appended,
      eventsAlreadyStored: this.stored,
      commandsUnchanged: this.unchanged,
      queuedAgain: this.queuedAgain,
      skippedUnknownRun: this.unknownRun,
      heartbeatsAfterEnd: this.heartbeatsAfterEnd,
      rejected: sum(Object.values(this.rejectedByReason)),
      rejectedByReason: { ...this.rejectedByReason },
      runs: sum(Object.values(states)),
      byStatusAndOutcome: states,
      firstAt: Number.isFinite(this.firstMicros) ? instantOf(this.firstMicros) : null,
      lastAt: Number.isFinite(this.lastMicros) ? instantOf(this.lastMicros) : null,
      seconds: end.seconds,
      eventsPerSecond: end.seconds > 0 ? this.appended / end.seconds : 0,
      rejectsFile: end.rejectsFile,
      interrupted: end.interrupted,
    };
  }

  private count(outcome: Outcome, { command, atMicros, row }: Statement): void {
    switch (outcome.kind) {
      case 'appended':
        this.appended++;
        return this.happenedAt(atMicros);
      case 'stored':
        this.stored++;
        return this.happenedAt(atMicros);
      case 'unchanged':
        this.unchanged++;
        return;
      case 'queued_again':
        this.queuedAgain++;
        return;
      case 'unknown_run':
        this.unknownRun++;
        return;
      case 'left_out':
        // Its row is among the rejects.
        return;
      case 'refused':
        // Sources beat on for a while after the end; a file full of that would hide the rest.
        if (command.kind === 'progress' && outcome.code === 'illegal_transition') this.heartbeatsAfterEnd++;
        else this.reject(outcome.code, { ...row, row: row.text }, `${outcome.code}: ${outcome.message}`);
    }
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}
