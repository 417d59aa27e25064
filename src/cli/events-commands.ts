import { Option } from 'commander';
import type { Command } from 'commander';
import { copyVerb } from './events-copy';
import type { CopyFlags } from './events-copy';
import { positive } from './option-values';
import type { Output } from './output';

type Verb = <Args extends unknown[]>(
  work: (output: Output, ...args: Args) => Promise<void>,
) => (...args: Args) => Promise<void>;

const IN_FLIGHT = 32;

/** `opstruth events ...`. The variables keep credentials out of the list of processes. */
export function addEventsCommands(program: Command, verb: Verb): void {
  const events = program.command('events').description('the log itself: bring it into another store');
  events
    .command('copy')
    .description('copy the log into another store, or bring a copy up to date, and verify it')
    .addOption(
      new Option('--from <url>', 'the log: a postgres:// or esdb:// URL, or the word embedded (required)')
        .env('OPSTRUTH_COPY_FROM')
        .makeOptionMandatory(),
    )
    .addOption(
      new Option(
        '--to <url>',
        'where it goes: named like that; empty, or an earlier copy of the same log (required)',
      )
        .env('OPSTRUTH_COPY_TO')
        .makeOptionMandatory(),
    )
    .option(
      '--in-flight <n>',
      'appends to EventStoreDB under way at once; 1 keeps the order across streams exactly',
      positive,
      IN_FLIGHT,
    )
    .action(verb((output, flags: CopyFlags) => copyVerb(output, flags)));
}
