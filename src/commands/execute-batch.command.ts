import { Command, CommandHandler } from '@nestjs/cqrs';
import type { ICommandHandler } from '@nestjs/cqrs';
import { z } from 'zod';
import { describeInput } from '../http/json-schema';
import { Problem, problemBody, problemBodySchema } from '../http/problem';
import { answerOf, commandAnswerSchema } from './answer';
import { itemEnvelope, itemSchema } from './batch-item';
import { STATUSES } from '../events/operation-run-events';
import { comparePositions, formatPosition } from '../events/position';
import type { Position } from '../events/position';
import { problemOf } from './command-problem';
import type { CommandEnvelope, CommandResult, Failed } from './command-result';
import { RunCommandExecutor } from './run-command-executor';
import type { Sender } from './sender';

export const MAX_BATCH = 1_000;
export const BATCH_BODY_LIMIT_BYTES = 8 * 1024 * 1024;

/** Items are parsed one by one, so that a bad one is refused alone. */
const listSchema = z.strictObject({ commands: z.array(z.unknown()).min(1).max(MAX_BATCH) });
const documentedList = z.array(itemSchema).min(1).max(MAX_BATCH);

/** `{commands: [...]}`, or the list itself. */
export const batchBody = describeInput(
  z.preprocess((body) => (Array.isArray(body) ? { commands: body as unknown[] } : body), listSchema),
  z.union([z.strictObject({ commands: documentedList }), documentedList]),
);
export type BatchBody = z.infer<typeof batchBody>;

const acceptedItemSchema = commandAnswerSchema
  .extend({
    command: z.string().describe('As it was sent.'),
    status: z
      .int()
      .describe(
        "The HTTP status that the command's own route answers: 201 for `queue`, else 200. Not the run's status.",
      ),
    runStatus: z.enum(STATUSES).describe("The run's status, which the command's own route calls `status`."),
  })
  .meta({ id: 'AcceptedBatchItem' });

const refusedItemSchema = problemBodySchema
  .extend({
    command: z.string().optional().describe('As it was sent, as far as it could be read.'),
    runId: z.string().optional().describe('As it was sent, as far as it could be read.'),
  })
  .meta({ id: 'RefusedBatchItem' });

export const batchAnswerSchema = z
  .object({
    position: z
      .string()
      .nullable()
      .describe(
        'The newest position of all results, refusals among them, for `?minPosition=`; null when none tells of a run.',
      ),
    results: z
      .array(z.union([acceptedItemSchema, refusedItemSchema]))
      .describe(
        "One for each command, in the order of the commands: what the command's own route answers, or the problem " +
          'with which it refuses. `status` below 300 tells the accepted ones from the others.',
      ),
  })
  .meta({ id: 'BatchAnswer' });
export type BatchAnswer = z.infer<typeof batchAnswerSchema>;

/** `failures`: items that met an error of ours. They may be sent again, and the batch's answer is not final. */
export interface BatchResult {
  readonly answer: BatchAnswer;
  readonly failures: readonly Failed[];
}

export class ExecuteBatch extends Command<BatchResult> {
  constructor(
    readonly body: BatchBody,
    readonly sender: Sender,
  ) {
    super();
  }
}

/** Executes the items that can be read, and answers all, in their order. */
@CommandHandler(ExecuteBatch)
export class ExecuteBatchHandler implements ICommandHandler<ExecuteBatch> {
  constructor(private readonly executor: RunCommandExecutor) {}

  async execute({ body, sender }: ExecuteBatch): Promise<BatchResult> {
    if (sender.expectedVersion !== undefined)
      throw Problem.invalidRequest([{ path: 'If-Match', message: 'stands for one run, not for a batch' }]);
    const items = body.commands.map((item, index) => attempt(() => itemEnvelope(item, index, sender)));
    const readable = items.filter((item): item is CommandEnvelope => !(item instanceof Problem));
    const executed = await this.executor.executeMany(readable);
    let next = 0;
    const results = items.map((item, index) => {
      const answer = item instanceof Problem ? item : itemAnswer(item, executed[next++]!);
      return answer instanceof Problem
        ? { ...headOf(body.commands[index]), ...problemBody(answer, sender.correlationId) }
        : answer;
    });
    const newest = executed.reduce<Position | null>((latest, result) => {
      const position = result.kind === 'failed' ? null : result.position;
      return position && (!latest || comparePositions(position, latest) > 0) ? position : latest;
    }, null);
    return {
      answer: { position: newest && formatPosition(newest), results },
      failures: executed.filter((result) => result.kind === 'failed'),
    };
  }
}

function itemAnswer({ command }: CommandEnvelope, result: CommandResult | Failed) {
  if (result.kind === 'failed') return problemOf(result.error);
  const answer = answerOf(result);
  if (answer instanceof Problem) return answer;
  return {
    ...answer,
    command: command.kind,
    status: command.kind === 'queue' ? 201 : 200,
    runStatus: answer.status,
  };
}

/** Which command it was, of one that may be anything. */
function headOf(item: unknown): { readonly command?: string; readonly runId?: string } {
  const { command, runId } = (item ?? {}) as { readonly command?: unknown; readonly runId?: unknown };
  return {
    ...(typeof command === 'string' && { command }),
    ...(typeof runId === 'string' && { runId }),
  };
}

function attempt<T>(work: () => T): T | Problem {
  try {
    return work();
  } catch (error) {
    if (error instanceof Problem) return error;
    throw error;
  }
}
