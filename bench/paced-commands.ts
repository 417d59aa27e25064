import { setTimeout as sleep } from 'node:timers/promises';
import { RefusedRequestError } from './http-client';
import type { HttpClient } from './http-client';
import { httpCommands } from './http-commands';
import type { HttpCommand } from './http-commands';

export interface Sample {
  /** How many commands had been due before it. */
  readonly nth: number;
  /** From when the command was due. */
  readonly answeredMs: number;
  /** Null when nobody asked for its effect. */
  readonly visibleMs: number | null;
}

export interface Pace {
  readonly perSecond: number;
  /** The effect of every `readEvery`th command is read: more readers than that would be a load of their own. */
  readonly readEvery: number;
  /** Asked before each command, with how many were sent. */
  readonly isOver: (sent: number) => boolean;
}

/**
 * Sends the workload's commands at a steady rate until `isOver`, never waiting for answers (an open loop), and reads what
 * came of some as soon as they are answered. Throws the first failure.
 */
export async function pacedCommands(
  client: HttpClient,
  { perSecond, readEvery, isOver }: Pace,
): Promise<{ readonly samples: readonly Sample[]; readonly rate: number }> {
  const samples: Sample[] = [];
  const commands = httpCommands();
  const lastOf = new Map<string, Promise<unknown>>();
  const failures: unknown[] = [];
  const sending: Promise<void>[] = [];
  const begun = performance.now();
  let sent = 0;
  for (; failures.length === 0 && !isOver(sent); sent++) {
    const dueAt = begun + (sent * 1000) / perSecond;
    const waitMs = dueAt - performance.now();
    if (waitMs > 0) await sleep(waitMs);
    const command = commands.next();
    // The next command of a run is sent when the one before is answered.
    const answered = (lastOf.get(command.runId) ?? Promise.resolve()).then(() => send(client, command));
    lastOf.set(command.runId, answered);
    const nth = sent;
    const work = async () => {
      const { position, version } = await answered;
      const answeredMs = performance.now() - dueAt;
      const isRead = nth % readEvery === 0;
      if (isRead) await untilVisible(client, command.runId, position, version);
      samples.push({ nth, answeredMs, visibleMs: isRead ? performance.now() - dueAt : null });
    };
    sending.push(work().catch((error: unknown) => void failures.push(error)));
  }
  await Promise.all(sending);
  if (failures.length > 0) throw failures[0];
  return { samples, rate: sent / ((performance.now() - begun) / 1000) };
}

async function send(client: HttpClient, { path, body }: HttpCommand) {
  return JSON.parse(await client.post(path, body)) as { position: string; version: number };
}

async function untilVisible(client: HttpClient, runId: string, position: string, version: number) {
  const answer = await untilReached(() => client.get(`/admin/operations/${runId}?minPosition=${position}`));
  const { data } = JSON.parse(answer) as { data: { version: number } };
  if (data.version < version)
    throw new Error(`run ${runId} was read at version ${data.version} after ${position}, not ${version}`);
}

/** A server waits some seconds for the read side. That it was more is a figure to be told, and no failure. */
async function untilReached(ask: () => Promise<string>): Promise<string> {
  for (;;)
    try {
      return await ask();
    } catch (error) {
      const isEarly = error instanceof RefusedRequestError && error.body.includes('"position_not_reached"');
      if (!isEarly) throw error;
    }
}
