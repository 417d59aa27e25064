import { constants, setPriority } from 'node:os';

/**
 * Lets everything else of this machine go first: a build takes the processor time that serving leaves. On Linux it is the
 * calling thread that this concerns, elsewhere it would be the whole process with all that it serves, so nothing happens.
 */
export function lowerPriority(): void {
  if (process.platform === 'linux') setPriority(constants.priority.PRIORITY_LOW);
}
