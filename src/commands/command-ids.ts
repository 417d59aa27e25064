import { createHash } from 'node:crypto';

/** The name space of every id this service derives. Never change it: the ids in the log come from it. */
const NAMESPACE = Buffer.from('6f707374727574682d636f6d6d616e64', 'hex');

/** A version 5 UUID that is a function of its parts. The parts are kept apart, so `a`, `bc` is not `ab`, `c`. */
export function uuidOf(...parts: readonly string[]): string {
  const hash = createHash('sha1').update(NAMESPACE).update(JSON.stringify(parts)).digest();
  hash[6] = (hash[6]! & 0x0f) | 0x50;
  hash[8] = (hash[8]! & 0x3f) | 0x80;
  const hex = hash.toString('hex', 0, 16);
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/** The id of the nth event (from 0) of a command: a retried command writes the same event, which the store knows. */
export function eventIdOf(commandId: string, index: number): string {
  return uuidOf('event', commandId, String(index));
}

/** The id of a run that was queued without one, the same when the command is sent again. */
export function runIdFor(commandId: string): string {
  return uuidOf('run', commandId);
}
