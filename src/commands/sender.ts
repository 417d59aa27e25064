import type { RunCommand } from '../domain/decider';
import type { Instant } from '../events/instant';
import type { CommandEnvelope } from './command-result';

/** What every command carries beside its own content: who asks, when, under which id and on what conditions. */
export interface Sender extends Omit<CommandEnvelope, 'runId' | 'command'> {
  /** The time of asking; a command that names no time of its own happened now. */
  readonly now: Instant;
  /** Whose `commandId`s are told apart from others' equal ones. (Default: the actor's) */
  readonly namesOf?: string;
  /** What the sender's token may do. A single route asks by itself; in a batch each command needs its own. */
  readonly capabilities?: ReadonlySet<string> | undefined;
}

export function envelopeOf(runId: string, command: RunCommand, sender: Sender): CommandEnvelope {
  const { now: _now, namesOf: _namesOf, capabilities: _capabilities, ...conditions } = sender;
  return { ...conditions, runId, command };
}
