import type { Figure } from './figures';

/** How much is measured. */
export interface Sizes {
  /** Rows of the imported trace, at least. */
  readonly importRows: number;
  /** Events of the projected log, at least. */
  readonly projectedEvents: number;
  /** Events written to and read from each event store, at least. */
  readonly storedEvents: number;
  readonly commandsPerSecond: number;
  readonly lagSeconds: number;
  /** Runs in the read tables, size by size. */
  readonly queriedRuns: readonly number[];
  /** Requests per query, size and concurrency. */
  readonly requests: number;
}

/** What one process has done, by its own account. */
export interface Measured {
  readonly events: number;
  readonly seconds: number;
  /** The most memory the process had resident, in MB of 2^20 bytes. */
  readonly peakMb: number;
  readonly cpuSeconds: number;
}

export interface LogTarget {
  readonly databaseUrl: string;
  readonly eventStoreUrl?: string;
}

/**
 * What a replay reads, and what it changes: the whole log under other deadlines; the run facts under other deadlines, which
 * concern active runs; the run facts under another class of an outcome, which concerns all.
 */
export type Rebuilding = 'log' | 'facts-deadlines' | 'facts-outcomes';

export type Task =
  | { readonly kind: 'import'; readonly databaseUrl: string; readonly folder: string }
  | { readonly kind: 'project'; readonly databaseUrl: string }
  /** Without `eventStoreUrl` the log is PostgreSQL's. */
  | ({ readonly kind: 'append' | 'subscribe'; readonly events: number } & LogTarget)
  /** `events` of what was measured: events of a full rebuild, runs of one from facts. */
  | { readonly kind: 'rebuild'; readonly databaseUrl: string; readonly by: Rebuilding };

export interface RunningServer {
  readonly url: string;
  /** Where it runs, for the report. */
  readonly place: string;
  stop(): Promise<void>;
}

/** How the measured work is run: in processes of its own, or (tests) in this one. */
export interface Launcher {
  measure(task: Task): Promise<Measured>;
  serve(env: Readonly<Record<string, string>>): Promise<RunningServer>;
  /** A new and empty stand-in for EventStoreDB: the tests' own, there is no real server here. */
  standIn(): Promise<RunningServer>;
}

export interface BenchContext {
  readonly sizes: Sizes;
  readonly launcher: Launcher;
  /** A folder for what a benchmark writes; removed at the end. */
  readonly folder: string;
  /** An EventStoreDB to be measured too. It must be empty, and is not afterwards. */
  readonly eventStoreUrl?: string;
  /** The url of a new and empty database. */
  readonly freshDatabase: (name: string) => Promise<string>;
  /** Takes a result, which then stands whatever fails later. */
  readonly record: (...figures: readonly Figure[]) => void;
  /** A line for whoever waits. */
  readonly say: (line: string) => void;
  /** The result of `work` under this name, worked out once: two benchmarks may look at one measurement. */
  once<T>(name: string, work: () => Promise<T>): Promise<T>;
}

export interface Benchmark {
  readonly name: string;
  /** For `--help`: what is measured, and its figures. */
  readonly about: string;
  run(context: BenchContext): Promise<void>;
}
