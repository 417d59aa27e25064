import type { BenchContext, Benchmark, Sizes } from './bench-context';
import { cutoverBenchmark } from './cutover.bench';
import { eventStoresBenchmark } from './event-stores.bench';
import { importBenchmark } from './import.bench';
import { lagBenchmark } from './lag.bench';
import { memoryBenchmark } from './memory.bench';
import { projectionBenchmark } from './projection.bench';
import { queriesBenchmark } from './queries.bench';
import { rebuildBenchmark } from './rebuild.bench';

export const benchmarks: readonly Benchmark[] = [
  importBenchmark,
  eventStoresBenchmark,
  projectionBenchmark,
  rebuildBenchmark,
  memoryBenchmark,
  lagBenchmark,
  cutoverBenchmark,
  queriesBenchmark,
];

/** What the published figures are measured with. */
export const DEFAULT_SIZES: Sizes = {
  importRows: 160_000,
  projectedEvents: 200_000,
  storedEvents: 50_000,
  commandsPerSecond: 200,
  lagSeconds: 30,
  queriedRuns: [50_000, 1_000_000],
  requests: 2_000,
};

/** Runs benchmarks one after the other. */
export async function runBenchmarks(
  selected: readonly Benchmark[],
  given: Omit<BenchContext, 'once'>,
): Promise<void> {
  const results = new Map<string, Promise<unknown>>();
  const context: BenchContext = {
    ...given,
    once<T>(name: string, work: () => Promise<T>): Promise<T> {
      const known = results.get(name) ?? work();
      results.set(name, known);
      // One name stands for one work, and so for one type.
      return known as Promise<T>;
    },
  };
  for (const benchmark of selected) {
    given.say(`\n${benchmark.name}`);
    await benchmark.run(context);
  }
}
