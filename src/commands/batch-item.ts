import { z } from 'zod';
import { RUN_ACTIONS } from '../auth/run-actions';
import type { RunCommand } from '../domain/decider';
import type { Instant } from '../events/instant';
import { fieldErrors } from '../http/as-problem';
import { inputWords } from '../http/input-words';
import { Problem } from '../http/problem';
import { id } from './body-fields';
import { cancelBody, cancelCommand } from './cancel-run.command';
import { uuidOf } from './command-ids';
import type { CommandEnvelope } from './command-result';
import { completeBody, completeCommand } from './complete-run.command';
import { queueBody, queueEnvelope } from './queue-run.command';
import { reopenBody, reopenCommand } from './reopen-follow-up.command';
import { progressBody, progressCommand } from './report-progress.command';
import { resolveBody, resolveCommand } from './resolve-follow-up.command';
import { envelopeOf } from './sender';
import type { Sender } from './sender';
import { startBody, startCommand } from './start-run.command';

/** The commands that need a run, each with the body of its own route. */
const onRun = {
  start: taking(startBody, startCommand),
  progress: taking(progressBody, progressCommand),
  complete: taking(completeBody, completeCommand),
  cancel: taking(cancelBody, cancelCommand),
  resolve: taking(resolveBody, resolveCommand),
  reopen: taking(reopenBody, reopenCommand),
};

/** The head of a command that stands in a list or on a line; the fields of its route's body stand beside it. */
export const itemSchema = z.looseObject({
  command: z.enum(['queue', 'start', 'progress', 'complete', 'cancel', 'resolve', 'reopen']),
  runId: id.nullish().describe('Needed by every command but `queue`.'),
  commandId: id
    .nullish()
    .describe("The sender's own name for this command: sent again, it is not executed again."),
});

/** One item of a batch, or one line of an import, as a command on its way. Throws Problem for what it cannot be. */
export function itemEnvelope(item: unknown, index: number, sender: Sender): CommandEnvelope {
  const { command, runId, commandId, ...fields } = parsed(itemSchema, item);
  const needed = RUN_ACTIONS.admin.find(({ kind }) => kind === command)!.capability;
  // Absent for an import, whose sender is the operator of the machine.
  if (sender.capabilities && !sender.capabilities.has(needed)) throw Problem.missingCapability(needed);
  const named: Pick<Sender, 'commandId' | 'mayBeRepeat'> =
    commandId == null
      ? { commandId: uuidOf('nth', sender.commandId, String(index)), mayBeRepeat: sender.mayBeRepeat }
      : {
          commandId: uuidOf(
            'named',
            sender.plane,
            sender.namesOf ?? sender.actor,
            runId ?? '',
            command,
            commandId,
          ),
          mayBeRepeat: true,
        };
  const own: Sender = { ...sender, ...named };
  if (command === 'queue') return queueEnvelope(parsed(queueBody, { ...fields, runId }), own);
  if (runId == null) throw Problem.invalidRequest([{ path: 'runId', message: `${command} needs a run` }]);
  return envelopeOf(runId, onRun[command](fields, sender.now), own);
}

function taking<T extends z.ZodType>(schema: T, command: (body: z.output<T>, now: Instant) => RunCommand) {
  return (fields: unknown, now: Instant) => command(parsed(schema, fields), now);
}

function parsed<T extends z.ZodType>(schema: T, value: unknown): z.output<T> {
  const result = schema.safeParse(value, { error: inputWords });
  if (result.success) return result.data;
  throw Problem.invalidRequest(fieldErrors(result.error));
}
