import { hash } from 'node:crypto';

/** The name space of every id this service derives, as text. Never change it: the ids in the log come from it. */
const NAMESPACE = 'opstruth-command';

/** A version 5 UUID that is a function of its parts. The parts are kept apart, so `a`, `bc` is not `ab`, `c`. */
export function uuidOf(...parts: readonly string[]): string {
  // At once and not by a Hash object, of which an import would make hundreds of thousands for the collector.
  const hex = hash('sha1', NAMESPACE + JSON.stringify(parts));
  const variant = '89ab'[Number.parseInt(hex[16]!, 16) & 3]!;
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-5${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

/** The id of the nth event (from 0) of a command: a retried command writes the same event, which the store knows. */
export function eventIdOf(commandId: string, index: number): string {
  return uuidOf('event', commandId, String(index));
}

/** The id of a run that was queued without one, the same when the command is sent again. */
export function runIdFor(commandId: string): string {
  return uuidOf('run', commandId);
}
