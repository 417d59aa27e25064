#!/usr/bin/env node
import 'reflect-metadata';
import { Command, Option } from 'commander';
import { CAPABILITIES } from './auth/principal';
import type { Plane } from './auth/principal';
import { audit } from './cli/audit';
import type { AuditFlags } from './cli/audit';
import type { DemoFlags } from './cli/demo';
import { fail } from './cli/fail';
import { addEventsCommands } from './cli/events-commands';
import type { ImportFlags } from './cli/import';
import { migrateVerb } from './cli/migrate';
import { asOf, collect, instant, named, positive } from './cli/option-values';
import { createOutput, errorText, outliveReaders } from './cli/output';
import type { Output } from './cli/output';
import { discardParkedEvent, retryParkedStream, showParked } from './cli/parked';
import type { DiscardFlags } from './cli/parked';
import { diffPolicies, propose, showPolicies, showPolicy } from './cli/policy';
import { addReplayCommands } from './cli/replay-commands';
import { simulate } from './cli/simulate';
import type { SimulateFlags } from './cli/simulate';
import { status } from './cli/status';
import { token } from './cli/token';
import { packageVersion } from './tools/package-folder';
import { streamOf } from './events/operation-run-events';

const program = new Command('opstruth')
  .description('One truth for every operations surface.')
  .version(packageVersion())
  .option('--json', 'print results and errors as JSON')
  .configureHelp({ showGlobalOptions: true })
  .configureOutput({
    // Wrong usage, and the help where a verb is missing.
    writeErr: (text) =>
      process.stderr.write(wantsJson() ? errorText(true, text.replace(/^error: /, '').trimEnd()) : text),
  });

function wantsJson(): boolean {
  return program.opts<{ json?: boolean }>().json ?? false;
}

/**
 * Verbs that bring the server, its framework or the routes' bodies with them are loaded when they are asked for: all others
 * begin in half the time.
 */
/* oxlint-disable typescript/no-require-imports -- an import would load them now */
const load = {
  serve: () => require('./cli/serve') as typeof import('./cli/serve'),
  demo: () => require('./cli/demo') as typeof import('./cli/demo'),
  import: () => require('./cli/import') as typeof import('./cli/import'),
};
/* oxlint-enable typescript/no-require-imports */

/** A verb's action with the output that the global flags ask for; what it throws is told on standard error. */
function verb<Args extends unknown[]>(work: (output: Output, ...args: Args) => Promise<void>) {
  return async (...args: Args) => {
    const json = wantsJson();
    await work(createOutput(json), ...args).catch((error: unknown) => fail(error, json));
  };
}

program
  .command('serve')
  .description('serve with the settings of the environment')
  .action(verb(() => load.serve().serve()));
program
  .command('migrate')
  .description('bring the database schema up to date')
  .action(verb((output) => migrateVerb(output)));
program
  .command('status')
  .description('positions, lag, rate and parked events of each generation')
  .action(verb((output) => status(output)));

program
  .command('demo')
  .description(
    'the whole product with a simulated platform behind it, on the embedded PostgreSQL (or that of DATABASE_URL)',
  )
  .option('--once', 'end after the summary')
  .option(
    '--seed <n>',
    'the same seed sends the same commands; what they meet depends on the hour too',
    positive,
    1,
  )
  .option('--runs <n>', 'runs of the last three hours', positive, 1_500)
  .action(verb((output, flags: DemoFlags) => load.demo().demo(output, flags)));

program
  .command('import')
  .description('import a real history: a folder with a mapping.json, or commands as NDJSON')
  .argument('[dir]', 'a folder with raw files and a mapping.json')
  .option('--ndjson <file>', 'in place of a folder: one command a line; - for standard input')
  .option('--until <instant>', 'of a folder, leave later rows out', instant)
  .option('--rejects <file>', 'where rows that cannot be read go (default: <dataset>.rejects.ndjson)')
  .action(
    verb((output, dir: string | undefined, flags: ImportFlags) =>
      load.import().importVerb(output, dir, flags),
    ),
  );

program
  .command('simulate')
  .description('put a simulated workload into the log')
  .option('--runs <n>', 'operation runs', positive, 1_000)
  .option('--seed <n>', 'the same seed simulates the same workload', positive, 1)
  .option('--hours <n>', 'hours back at which it begins', positive, 24)
  .option('--ndjson', 'print the commands instead, for `import --ndjson`')
  .action(verb((output, flags: SimulateFlags) => simulate(output, flags)));

program
  .command('token')
  .description('mint a bearer token for development')
  .addOption(
    new Option('--plane <plane>', 'whose routes it opens (required)')
      .choices(['admin', 'system'])
      .makeOptionMandatory(),
  )
  .addOption(
    new Option(
      '--workspace <W[:T,T]>',
      'what it opens of the admin plane, repeatable: a workspace, or tenants of one',
    )
      .argParser(collect)
      .default([], 'every workspace'),
  )
  .addOption(
    new Option(
      '--capability <name>',
      `repeatable; admin: ${CAPABILITIES.admin.join(', ')}; system: ${CAPABILITIES.system.join(', ')}; none for a reader`,
    )
      .argParser(collect)
      .default([], "all of the plane's"),
  )
  .option('--subject <name>', 'whose token it is', named, 'developer')
  .option('--ttl <seconds>', 'seconds until it expires', positive, 86_400)
  .action(
    verb(
      (
        output,
        flags: { plane: Plane; workspace: string[]; capability: string[]; subject: string; ttl: number },
      ) => token(output, flags),
    ),
  );

const policy = program
  .command('policy')
  .description('policies: thresholds and classes, in immutable versions');
policy
  .command('show')
  .description('the policy in force, or one version')
  .argument('[version]', 'a version (default: the one in force)', positive)
  .action(verb((output, version?: number) => showPolicy(output, version)));
policy
  .command('list')
  .description('all versions')
  .action(verb((output) => showPolicies(output)));
policy
  .command('diff')
  .description('what differs between two versions')
  .argument('<from>', 'a version', positive)
  .argument('<to>', 'a version', positive)
  .action(verb((output, from: number, to: number) => diffPolicies(output, from, to)));
policy
  .command('propose')
  .description('keep a policy file as a new version')
  .argument('<file>', 'JSON, as `policy show` prints it')
  .option('--reason <text>', 'why, kept with the version')
  .action(
    verb((output, file: string, { reason }: { reason?: string }) => propose(output, file, reason ?? null)),
  );

program
  .command('audit')
  .description('check a generation against the log; exit code 1 when anything differs')
  .option('--generation <id>', 'another than the live one, as before a cutover to it', positive)
  .option('--sample <n>', 'random runs to fold anew from their first event on', positive, 500)
  .option('--surfaces', 'instead, check every table and bucket against the run facts')
  .option(
    '--as-of <instant>',
    'with --surfaces: the instant at which buckets and lists are compared (default: now)',
    asOf,
  )
  .action(verb((output, flags: AuditFlags) => audit(output, flags)));

const parked = program
  .command('parked')
  .description('runs whose events wait behind one that could not be applied');
parked
  .command('list')
  .description('all of them, each with the event that failed and why')
  .option('--generation <id>', 'another than the live one, such as one waiting for its cutover', positive)
  .action(verb((output, flags: { generation?: number }) => showParked(output, flags.generation)));
parked
  .command('retry')
  .description('apply the waiting events of a run again')
  .argument('[runId]', 'the run')
  .option('--stream <id>', "in place of a run: a stream that is no run's, as `parked list` names it")
  .option('--generation <id>', 'another than the live one, such as one waiting for its cutover', positive)
  .action(
    verb((output, runId: string | undefined, { stream, generation }: ParkedFlags, command: Command) =>
      retryParkedStream(output, parkedStream(command, runId, stream), generation),
    ),
  );
parked
  .command('discard')
  .description('leave the failed event of a run out for good, and apply those behind it')
  .argument('[runId]', 'the run')
  .option('--stream <id>', "in place of a run: a stream that is no run's, as `parked list` names it")
  .requiredOption('--reason <text>', 'why, kept with the decision (required)')
  .option('--apply', 'do it (without: only say what would be done)')
  .option('--generation <id>', 'another than the live one, such as one waiting for its cutover', positive)
  .action(
    verb(
      (
        output,
        runId: string | undefined,
        { stream, apply = false, ...flags }: ParkedFlags & Partial<DiscardFlags> & { reason: string },
        command: Command,
      ) => discardParkedEvent(output, parkedStream(command, runId, stream), { ...flags, apply }),
    ),
  );

addReplayCommands(program, verb);
addEventsCommands(program, verb);

outliveReaders();
void program.parseAsync();

interface ParkedFlags {
  readonly stream?: string;
  readonly generation?: number;
}

function parkedStream(command: Command, runId: string | undefined, stream: string | undefined): string {
  if ((runId === undefined) === (stream === undefined))
    command.error("error: give the id of a run, or --stream with a stream that is no run's");
  return stream ?? streamOf(runId!);
}
