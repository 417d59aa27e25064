import { Command, CommandHandler } from '@nestjs/cqrs';
import type { ICommandHandler } from '@nestjs/cqrs';
import { z } from 'zod';
import { canSee } from '../auth/principal';
import type { RunCommand } from '../domain/decider';
import type { Instant } from '../events/instant';
import { Problem } from '../http/problem';
import { context, id, occurredAt, sourceTime, summaryCounts } from './body-fields';
import { runIdFor } from './command-ids';
import type { CommandEnvelope, CommandResult } from './command-result';
import { RunCommandExecutor } from './run-command-executor';
import { envelopeOf } from './sender';
import type { Sender } from './sender';

export const queueBody = z.strictObject({
  runId: id.nullish(),
  workspaceId: id,
  tenantId: id.nullish(),
  type: id,
  initiator: id.nullish(),
  context,
  summaryCounts,
  occurredAt,
});
export type QueueBody = z.infer<typeof queueBody>;

export class QueueRun extends Command<CommandResult> {
  constructor(
    readonly body: QueueBody,
    readonly sender: Sender,
  ) {
    super();
  }
}

@CommandHandler(QueueRun)
export class QueueRunHandler implements ICommandHandler<QueueRun> {
  constructor(private readonly executor: RunCommandExecutor) {}

  execute({ body, sender }: QueueRun): Promise<CommandResult> {
    return this.executor.execute(queueEnvelope(body, sender));
  }
}

/** Throws Problem for a place the sender cannot see: it does not exist for them. */
export function queueEnvelope(body: QueueBody, sender: Sender): CommandEnvelope {
  if (sender.scope && !canSee(sender.scope, body.workspaceId, body.tenantId ?? null))
    throw Problem.notFound('no such workspace or tenant');
  return envelopeOf(body.runId ?? runIdFor(sender.commandId), queueCommand(body, sender.now), sender);
}

function queueCommand(body: QueueBody, now: Instant): RunCommand {
  return {
    kind: 'queue',
    at: sourceTime(body.occurredAt, now),
    workspaceId: body.workspaceId,
    tenantId: body.tenantId ?? null,
    type: body.type,
    initiator: body.initiator ?? null,
    context: body.context ?? {},
    summaryCounts: body.summaryCounts ?? null,
    predecessorRunId: null,
    origin: null,
  };
}
