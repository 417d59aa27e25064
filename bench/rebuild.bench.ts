import { surfaces } from '../projections/surfaces';
import { copyText } from '../src/projector/copy-rows';
import { FACTS, factsRow } from '../src/projector/engine-rows';
import { createGeneration } from '../src/projector/generations';
import { readStates } from '../src/projector/run-states';
import { sendTexts, TableLoad } from '../src/replay/build/table-load';
import type { Runtime } from '../src/runtime/runtime';
import type { Benchmark, Rebuilding } from './bench-context';
import { withBenchRuntime } from './bench-runtime';
import { figure } from './figures';
import { measureProjection } from './projection.bench';
import { orderedReadRate } from './projection-limits';

const AIM_EVENTS_PER_SECOND = 40_000;
const AIM_RUNS_PER_SECOND = 100_000;
const AIM_MB = 512;

export const rebuildBenchmark: Benchmark = {
  name: 'rebuild',
  about:
    'A replay by other rules beside the live generation, from the log (full) and from the live run facts, until it is ' +
    'ready: load, indexes, analysis, judging anew, catching up. From the facts once by other deadlines, which concern the active ' +
    'runs, and once by another class of an outcome, for which all are judged. Limits: ordered read + parse + fold in one thread; COPY of the same ' +
    'rows into tables without secondary indexes. Figures: rebuild.full, rebuild.facts (deadlines), rebuild.facts-outcomes, rebuild.memory, ' +
    'rebuild.read-parse-limit, rebuild.copy-limit',
  async run(context) {
    const { databaseUrl } = await measureProjection(context);
    const rebuild = (by: Rebuilding) => context.launcher.measure({ kind: 'rebuild', databaseUrl, by });
    context.say('rebuilding it from the log');
    const full = await rebuild('log');
    context.say('rebuilding it from the run facts, by other deadlines and by other classes of outcomes');
    const deadlines = await rebuild('facts-deadlines');
    const outcomes = await rebuild('facts-outcomes');
    context.say('measuring the limits: ordered read and parse, COPY of the same rows');
    const limits = await withBenchRuntime(databaseUrl, async (runtime) => ({
      read: await orderedReadRate(runtime),
      copy: await copyRate(runtime),
    }));
    context.record(
      figure('rebuild.full', full.events / full.seconds, 'events/s', {
        aim: AIM_EVENTS_PER_SECOND,
        limit: limits.read,
      }),
      figure('rebuild.facts', deadlines.events / deadlines.seconds, 'runs/s', {
        aim: AIM_RUNS_PER_SECOND,
        limit: limits.copy,
      }),
      figure('rebuild.facts-outcomes', outcomes.events / outcomes.seconds, 'runs/s', {
        aim: AIM_RUNS_PER_SECOND,
        limit: limits.copy,
      }),
      figure('rebuild.memory', Math.max(full.peakMb, deadlines.peakMb, outcomes.peakMb), 'MB', {
        aim: AIM_MB,
      }),
      figure('rebuild.read-parse-limit', limits.read, 'events/s'),
      figure('rebuild.copy-limit', limits.copy, 'runs/s'),
    );
  },
};

const SAMPLE_RUNS = 10_000;
const RUNS_PER_TRANSACTION = 1_000;

/** Runs a second whose rows, made before, go into all tables by COPY: no reading, judging or making of rows is timed. */
async function copyRate({ pool, generation, live }: Runtime): Promise<number> {
  const { rows } = await pool.query<{ run_id: string }>(
    `select run_id from ${generation.schema}.run_facts limit $1`,
    [SAMPLE_RUNS],
  );
  const ids = rows.map((row) => row.run_id);
  const runs = await readStates(pool, generation.schema, live.current(), ids);
  const load = new TableLoad(surfaces);
  const client = await pool.connect();
  try {
    const { classifierVersion, policyVersion, logIdentity } = generation;
    const target = await createGeneration(client, {
      surfaces,
      state: 'failed',
      classifierVersion,
      policyVersion,
      logIdentity,
      indexed: 'none',
    });
    let milliseconds = 0;
    for (let from = 0; from < runs.length; from += RUNS_PER_TRANSACTION) {
      const page = runs.slice(from, from + RUNS_PER_TRANSACTION);
      const facts = { ...FACTS, text: copyText(FACTS.columns, page.map(factsRow)) };
      const texts = [facts, ...load.add(page.map((run) => load.contentOf(run)))];
      const begun = performance.now();
      await client.query('begin');
      await sendTexts(client, target.schema, texts);
      await client.query('commit');
      milliseconds += performance.now() - begun;
    }
    await client.query(`drop schema ${target.schema} cascade`);
    return runs.length / (milliseconds / 1000);
  } finally {
    client.release();
  }
}
