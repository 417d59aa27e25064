import { createHash } from 'node:crypto';

/** Two numbers of 32 bits under each key. */
export type Pair = readonly [number, number];

export interface DigestTable {
  get(key: string): Pair | undefined;
  set(key: string, pair: Pair): void;
}

/** Numbers per slot: two of the key, two of the pair. */
const WIDTH = 4;
const FIRST_SLOTS = 1024;
const MAX_LOAD = 0.6;

/**
 * What must be remembered of every run or line of a source, however many there are: an open hash table of 16 bytes a
 * slot under a 64-bit digest of the key, where a Map of strings would need some hundred bytes each.
 */
export function createDigestTable(): DigestTable {
  let slots = FIRST_SLOTS;
  let table = new Uint32Array(slots * WIDTH);
  let used = 0;

  const isFree = (at: number) => table[at] === 0 && table[at + 1] === 0;

  /** Where the key is, or the free place where it belongs. */
  const find = (high: number, low: number): number => {
    for (let slot = low % slots; ; slot = (slot + 1) % slots) {
      const at = slot * WIDTH;
      if (isFree(at) || (table[at] === high && table[at + 1] === low)) return at;
    }
  };

  const grow = () => {
    const old = table;
    slots *= 2;
    table = new Uint32Array(slots * WIDTH);
    for (let at = 0; at < old.length; at += WIDTH)
      if (old[at] !== 0 || old[at + 1] !== 0)
        table.set(old.subarray(at, at + WIDTH), find(old[at]!, old[at + 1]!));
  };

  return {
    get: (key) => {
      if (used === 0) return undefined;
      const at = find(...digestOf(key));
      return isFree(at) ? undefined : [table[at + 2]!, table[at + 3]!];
    },
    set: (key, pair) => {
      if (used >= slots * MAX_LOAD) grow();
      const digest = digestOf(key);
      const at = find(...digest);
      if (isFree(at)) used++;
      table.set([...digest, ...pair], at);
    },
  };
}

function digestOf(key: string): Pair {
  const digest = createHash('sha1').update(key).digest();
  // 0, 0 marks a free slot.
  return [digest.readUInt32LE(0), digest.readUInt32LE(4) || 1];
}
