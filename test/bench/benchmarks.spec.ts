import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Sizes } from '../../bench/bench-context';
import { createDatabase } from '../../bench/bench-postgres';
import { benchmarks, runBenchmarks } from '../../bench/benchmarks';
import { meetsAim, percentile, tableOf } from '../../bench/figures';
import type { Figure } from '../../bench/figures';
import { onDatabase } from '../support/server';
import type { TestServer } from '../support/server';
import { inProcessLauncher } from './in-process-launcher';

const TINY: Sizes = {
  importRows: 400,
  projectedEvents: 400,
  storedEvents: 200,
  commandsPerSecond: 20,
  lagSeconds: 1,
  queriedRuns: [300],
  requests: 3,
};

const PREFIX = `opstruth_test_${process.env.JEST_WORKER_ID ?? '0'}_bench_`;

describe('the benchmarks', () => {
  const { adminUrl } = JSON.parse(process.env.OPSTRUTH_TEST_SERVER!) as TestServer;
  const made = new Set<string>();
  let folder: string;
  const figures = new Map<string, Figure[]>();

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'opstruth-bench-test-'));
    for (const benchmark of benchmarks) {
      // One by one, as --only does: none may need another to have run before.
      const own = await mkdtemp(join(folder, 'files-'));
      const result: Figure[] = [];
      await runBenchmarks([benchmark], {
        sizes: TINY,
        launcher: inProcessLauncher,
        folder: own,
        freshDatabase: (name) => {
          made.add(PREFIX + name);
          return createDatabase(adminUrl, PREFIX + name);
        },
        record: (...measured) => result.push(...measured),
        say: () => undefined,
      });
      figures.set(benchmark.name, result);
    }
  }, 120_000);

  afterAll(async () => {
    await rm(folder, { recursive: true, force: true });
    await onDatabase(adminUrl, async (client) => {
      for (const name of made)
        await client.query(`drop database if exists ${client.escapeIdentifier(name)} with (force)`);
    });
  });

  const namesOf = (benchmark: string) => figures.get(benchmark)!.map(({ name }) => name);

  it('answer figures of name, value, unit, aim and limit, and nothing else', () => {
    const all = [...figures.values()].flat();
    expect(all.length).toBeGreaterThan(0);
    for (const one of all) {
      expect(Object.keys(one)).toEqual(['name', 'value', 'unit', 'aim', 'limit']);
      expect(one.value).toBeGreaterThan(0);
      expect(JSON.parse(JSON.stringify(one))).toEqual(one);
    }
    expect(new Set(all.map(({ name }) => name)).size).toBe(all.length);
  });

  it('name what they measure, and hold it against the aims', () => {
    expect(namesOf('import')).toEqual(['import.rate']);
    expect(namesOf('projection')).toEqual([
      'projection.rate',
      'projection.read-parse-limit',
      'projection.upsert-limit',
    ]);
    expect(namesOf('rebuild')).toEqual([
      'rebuild.full',
      'rebuild.facts',
      'rebuild.facts-outcomes',
      'rebuild.memory',
      'rebuild.read-parse-limit',
      'rebuild.copy-limit',
    ]);
    expect(namesOf('event-stores')).toEqual([
      'event-stores.postgresql.append',
      'event-stores.postgresql.subscribe',
      'event-stores.stand-in.append',
      'event-stores.stand-in.subscribe',
    ]);
    expect(namesOf('memory')).toEqual(['memory.import', 'memory.projection']);
    expect(namesOf('lag')).toEqual(['lag.p50', 'lag.p99', 'lag.answer.p50', 'lag.answer.p99', 'lag.rate']);
    expect(namesOf('cutover')).toEqual([
      'cutover.lag.p50',
      'cutover.lag.p99',
      'cutover.query.p50',
      'cutover.query.p99',
      'cutover.queries',
    ]);
    const aims = [...figures.values()].flat().filter(({ aim }) => aim !== null);
    const aimOf = (name: string) => aims.find((one) => one.name === name)?.aim;
    expect(aimOf('import.rate')).toBe(15_000);
    expect(aimOf('projection.rate')).toBe(8_000);
    expect(aimOf('lag.p99')).toBe(100);
    expect(aimOf('cutover.lag.p99')).toBe(250);
    expect(aimOf('memory.import')).toBe(512);
    expect(aimOf('memory.projection')).toBe(512);
  });

  it('measure every query at every size, alone and four at a time, against 25 ms', () => {
    const queries = [
      'tenant-summary',
      'workspace-summary',
      'recent',
      'hub',
      'hub-workspace-class',
      'hub-type-outcome',
      'system-summary',
      'stuck',
      'run-detail',
      'progress',
    ];
    expect(namesOf('queries')).toEqual(
      queries.flatMap((query) =>
        ['p50', 'p99', 'x4.p50', 'x4.p99'].map((measure) => `queries.300.${query}.${measure}`),
      ),
    );
    for (const { name, aim, limit } of figures.get('queries')!) {
      expect(aim).toBe(name.endsWith('p99') ? 25 : null);
      expect(limit).not.toBeNull();
    }
  });

  it('are printed with a line per figure that says whether the aim was met', () => {
    const lines = tableOf([
      { name: 'a.rate', value: 16_000, unit: 'events/s', aim: 15_000, limit: 20_000 },
      { name: 'b.p99', value: 101, unit: 'ms', aim: 100, limit: null },
    ]);
    expect(lines).toHaveLength(3);
    expect(lines[1]).toMatch(/^a\.rate +16,000 +events\/s +15,000 +yes +20,000 +0\.80$/);
    expect(lines[2]).toMatch(/^b\.p99 +101 +ms +100 +NO +- +-$/);
  });
});

describe('a figure', () => {
  it('meets an aim from the side that is better for its unit', () => {
    const rate: Figure = { name: 'rate', value: 10, unit: 'events/s', aim: 10, limit: null };
    expect(meetsAim(rate)).toBe(true);
    expect(meetsAim({ ...rate, value: 9 })).toBe(false);
    expect(meetsAim({ ...rate, unit: 'ms', value: 9 })).toBe(true);
    expect(meetsAim({ ...rate, unit: 'ms', value: 11 })).toBe(false);
    expect(meetsAim({ ...rate, aim: null })).toBeNull();
  });

  it('is the nearest rank of its sample', () => {
    const values = Array.from({ length: 100 }, (_, index) => 100 - index);
    expect(percentile(values, 50)).toBe(50);
    expect(percentile(values, 99)).toBe(99);
    expect(percentile([7], 99)).toBe(7);
    expect(() => percentile([], 99)).toThrow('no values');
  });
});
