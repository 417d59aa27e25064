import { Command } from 'commander';
import { addReplayCommands } from '../../src/cli/replay-commands';

test('the command line hands flags over as the verbs take them, and refuses others', async () => {
  const calls: unknown[][] = [];
  const program = new Command().exitOverride();
  addReplayCommands(program, () => (...args) => {
    calls.push(args.slice(0, -1));
    return Promise.resolve();
  });
  await program.parseAsync(['replay', 'cutover', '7', '--max-change', '2.5', '--force'], { from: 'user' });
  await program.parseAsync(['replay', 'start', '--policy', '3', '--full', '--until', '1.2'], {
    from: 'user',
  });
  await program.parseAsync(['replay', 'rollback', '--dry-run', '--from', '4'], { from: 'user' });
  expect(calls).toEqual([
    [7, { maxChange: 2.5, force: true }],
    [{ policy: 3, full: true, until: { position: { commit: 1n, prepare: 2n } } }],
    [{ dryRun: true, from: 4 }],
  ]);
  for (const command of program.commands[0]!.commands)
    command.exitOverride().configureOutput({ writeErr: () => undefined });
  for (const wrong of ['101', '-1', '', 'many'])
    await expect(
      program.parseAsync(['replay', 'cutover', '7', '--max-change', wrong], { from: 'user' }),
    ).rejects.toThrow('from 0 to 100');
});
