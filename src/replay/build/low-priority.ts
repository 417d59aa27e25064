import { constants, setPriority } from 'node:os';

/** Lets every other process of this machine go first: a build takes the processor time that serving leaves. */
export function lowerPriority(): void {
  setPriority(constants.priority.PRIORITY_LOW);
}
