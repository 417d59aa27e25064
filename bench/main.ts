import { writeFile } from 'node:fs/promises';
import { availableParallelism, cpus, loadavg } from 'node:os';
import { Command, InvalidArgumentError } from 'commander';
import { openBenchPostgres } from './bench-postgres';
import { benchmarks, DEFAULT_SIZES, runBenchmarks } from './benchmarks';
import { childLauncher } from './child-launcher';
import { tableOf } from './figures';
import type { Figure } from './figures';

interface Options {
  readonly only: readonly string[];
  readonly json?: string;
  readonly eventStore?: string;
  readonly rows: number;
  readonly events: number;
  readonly stored: number;
  readonly rate: number;
  readonly seconds: number;
  readonly runs: readonly number[];
  readonly requests: number;
}

const NAMES = benchmarks.map(({ name }) => name);

function command(): Command {
  return new Command('npm run bench --')
    .description(
      'Measures opstruth on this machine, on a new embedded PostgreSQL with durable settings, and prints each figure ' +
        'beside its aim and beside what the machine itself could do at best, measured in the same run.',
    )
    .option('--only <name>', `one benchmark: ${NAMES.join(', ')} (repeatable)`, addName, [])
    .option('--json <file>', 'write [{name, value, unit, aim, limit}] to this file')
    .option('--event-store <url>', 'an empty EventStoreDB, for `event-stores` to fill and measure too')
    .option('--rows <n>', 'rows of the imported trace', wholeNumber, DEFAULT_SIZES.importRows)
    .option('--events <n>', 'events of the projected log', wholeNumber, DEFAULT_SIZES.projectedEvents)
    .option('--stored <n>', 'events of `event-stores`', wholeNumber, DEFAULT_SIZES.storedEvents)
    .option(
      '--rate <n>',
      'commands a second of `lag` and `cutover`',
      wholeNumber,
      DEFAULT_SIZES.commandsPerSecond,
    )
    .option(
      '--seconds <n>',
      'seconds of `lag`; half as many warm `cutover` up',
      wholeNumber,
      DEFAULT_SIZES.lagSeconds,
    )
    .option('--runs <n>', 'runs under `queries` (repeatable; default: 50000 and 1000000)', addNumber, [])
    .option('--requests <n>', 'requests per query', wholeNumber, DEFAULT_SIZES.requests)
    .addHelpText('after', ['', ...benchmarks.map(({ name, about }) => `${name}: ${about}.\n`)].join('\n'));
}

async function main(): Promise<void> {
  const options = command().parse().opts<Options>();
  const selected = benchmarks.filter(({ name }) => options.only.length === 0 || options.only.includes(name));
  const say = (line: string) => process.stderr.write(`${line}\n`);
  const figures: Figure[] = [];
  const postgres = await openBenchPostgres();
  try {
    say(`${availableParallelism()} x ${cpus()[0]?.model ?? 'processor'}, Node ${process.version}`);
    say(`load of the last minute before the start: ${loadavg()[0]!.toFixed(1)}`);
    say(`embedded PostgreSQL: ${postgres.settings}`);
    await runBenchmarks(selected, {
      ...postgres,
      launcher: childLauncher,
      ...(options.eventStore !== undefined && { eventStoreUrl: options.eventStore }),
      sizes: {
        importRows: options.rows,
        projectedEvents: options.events,
        storedEvents: options.stored,
        commandsPerSecond: options.rate,
        lagSeconds: options.seconds,
        queriedRuns: options.runs.length > 0 ? options.runs : DEFAULT_SIZES.queriedRuns,
        requests: options.requests,
      },
      record: (...measured) => figures.push(...measured),
      say,
    });
  } finally {
    // What was measured before a failure has been measured all the same.
    if (figures.length > 0) process.stdout.write(`${tableOf(figures).join('\n')}\n`);
    if (options.json !== undefined) await writeFile(options.json, `${JSON.stringify(figures, null, 2)}\n`);
    await postgres.close();
  }
}

function addName(name: string, names: readonly string[]): string[] {
  if (!NAMES.includes(name)) throw new InvalidArgumentError(`There are ${NAMES.join(', ')}.`);
  return [...names, name];
}

function addNumber(text: string, numbers: readonly number[]): number[] {
  return [...numbers, wholeNumber(text)];
}

function wholeNumber(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('It must be a whole number above 0.');
  return Number(text);
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
