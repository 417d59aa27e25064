import type { Command } from 'commander';
import type { Instant } from '../events/instant';
import { DEFAULT_MAX_CHANGE_PERCENT } from '../replay/cutover';
import { asOf, end, percent, positive } from './option-values';
import type { Output } from './output';
import {
  abortReplayVerb,
  cutoverVerb,
  diffReplayVerb,
  planReplayVerb,
  replayLogVerb,
  replayStatusVerb,
  resumeReplayVerb,
  retireReplayVerb,
  rollbackVerb,
  startReplayVerb,
} from './replay';
import type { CutoverFlags, PlanFlags, RollbackFlags, StartFlags, StepFlags } from './replay';

type Verb = <Args extends unknown[]>(
  work: (output: Output, ...args: Args) => Promise<void>,
) => (...args: Args) => Promise<void>;

const LOG_ENTRIES = 50;

/**
 * `opstruth replay ...`: a cutover only says what it would change without `--apply`. What loses nothing that cannot be had
 * again is done when asked for, the way back from a bad cutover above all.
 */
export function addReplayCommands(program: Command, verb: Verb): void {
  const replay = program
    .command('replay')
    .description('rebuild the read tables under another policy or classifier, and switch to them');
  replay
    .command('plan')
    .description('what a replay would change, without one')
    .option('--policy <n>', 'a policy version (default: the one in force)', positive)
    .option('--classifier <n>', 'a classifier version (default: the one in force)', positive)
    .option('--full', 'read the log even where the run facts would do')
    .option('--as-of <instant>', 'judge the classes at this instant (default: now)', asOf)
    .action(verb((output, flags: PlanFlags) => planReplayVerb(output, flags)));
  replay
    .command('start')
    .description('build a generation beside the live one; nothing is switched')
    .option('--policy <n>', 'a policy version (default: the one in force)', positive)
    .option('--classifier <n>', 'a classifier version (default: the one in force)', positive)
    .option('--full', 'read the log even where the run facts would do')
    .option('--until <end>', 'a historical generation instead, up to an instant or a position', end)
    .option('--detach', 'leave the building to a serving process')
    .option('--reason <text>', 'why, kept with the generation')
    .action(verb((output, flags: StartFlags) => startReplayVerb(output, flags)));
  replay
    .command('resume')
    .description('go on with a replay whose building was stopped')
    .argument('<id>', 'a generation', positive)
    .action(verb((output, id: number) => resumeReplayVerb(output, id)));
  replay
    .command('status')
    .description('all generations, or one: state, progress, rate, time left')
    .argument('[id]', 'a generation (default: all)', positive)
    .action(verb((output, id?: number) => replayStatusVerb(output, id)));
  replay
    .command('log')
    .description('what operators did, to parked events and policies too: who, what and why, the latest first')
    .option('--limit <n>', 'entries at most', positive, LOG_ENTRIES)
    .action(verb((output, { limit }: { limit: number }) => replayLogVerb(output, limit)));
  replay
    .command('diff')
    .description('what differs between the live generation and a ready or standby one')
    .argument('<id>', 'a generation', positive)
    .option('--as-of <instant>', 'judge the classes at this instant (default: now)', asOf)
    .action(verb((output, id: number, flags: { asOf?: Instant }) => diffReplayVerb(output, id, flags)));
  replay
    .command('cutover')
    .description('make a ready generation the live one')
    .argument('<id>', 'a generation', positive)
    .option('--apply', 'do it (without: only say what would change)')
    .option(
      '--max-change <percent>',
      'refuse when more of the runs than this change class',
      percent,
      DEFAULT_MAX_CHANGE_PERCENT,
    )
    .option('--force', 'do it whatever speaks against it; needs --reason')
    .option('--reason <text>', 'why, kept with the decision')
    .action(verb((output, id: number, flags: CutoverFlags) => cutoverVerb(output, id, flags)));
  replay
    .command('rollback')
    .description('go back to the generation that was live before')
    .option('--dry-run', 'only say what would be done')
    .option('--apply', 'do it, as without this option')
    .option('--from <id>', 'only if this generation is still the live one', positive)
    .option('--reason <text>', 'why, kept with the decision')
    .action(verb((output, flags: RollbackFlags) => rollbackVerb(output, flags)));
  replay
    .command('retire')
    .description('drop a standby or historical generation')
    .argument('<id>', 'a generation', positive)
    .option('--dry-run', 'only say what would be done')
    .option('--apply', 'do it, as without this option')
    .option('--reason <text>', 'why, kept with the decision')
    .action(verb((output, id: number, flags: StepFlags) => retireReplayVerb(output, id, flags)));
  replay
    .command('abort')
    .description('give up a generation that is being built or waits for its cutover')
    .argument('<id>', 'a generation', positive)
    .option('--dry-run', 'only say what would be done')
    .option('--apply', 'do it, as without this option')
    .option('--reason <text>', 'why, kept with the decision')
    .action(verb((output, id: number, flags: StepFlags) => abortReplayVerb(output, id, flags)));
}
