import { createHash } from 'node:crypto';

/** Two numbers of 32 bits under each key. */
export type Pair = readonly [number, number];

export interface DigestTable<V extends readonly number[] = Pair> {
  get(key: string): V | undefined;
  set(key: string, numbers: V): void;
}

/** Numbers of a slot that are the key's. */
const KEY = 2;
const FIRST_SLOTS = 1024;
const MAX_LOAD = 0.6;

/**
 * What must be remembered of every run or line of a source, however many there are: an open hash table of few bytes a
 * slot (16 with two numbers under each key) under a 64-bit digest of the key, where a Map of strings would need some
 * hundred bytes each.
 */
export function createDigestTable(): DigestTable;
export function createDigestTable<V extends readonly number[]>(numbers: V['length']): DigestTable<V>;
export function createDigestTable(numbers = 2): DigestTable<readonly number[]> {
  const width = KEY + numbers;
  let slots = FIRST_SLOTS;
  let table = new Uint32Array(slots * width);
  let used = 0;

  const isFree = (at: number) => table[at] === 0 && table[at + 1] === 0;

  /** Where the key is, or the free place where it belongs. */
  const find = (high: number, low: number): number => {
    for (let slot = low % slots; ; slot = (slot + 1) % slots) {
      const at = slot * width;
      if (isFree(at) || (table[at] === high && table[at + 1] === low)) return at;
    }
  };

  const grow = () => {
    const old = table;
    slots *= 2;
    table = new Uint32Array(slots * width);
    for (let at = 0; at < old.length; at += width)
      if (old[at] !== 0 || old[at + 1] !== 0)
        table.set(old.subarray(at, at + width), find(old[at]!, old[at + 1]!));
  };

  return {
    get: (key) => {
      if (used === 0) return undefined;
      const at = find(...digestOf(key));
      return isFree(at) ? undefined : [...table.subarray(at + KEY, at + width)];
    },
    set: (key, values) => {
      if (used >= slots * MAX_LOAD) grow();
      const digest = digestOf(key);
      const at = find(...digest);
      if (isFree(at)) used++;
      table.set([...digest, ...values], at);
    },
  };
}

function digestOf(key: string): Pair {
  const digest = createHash('sha1').update(key).digest();
  // 0, 0 marks a free slot.
  return [digest.readUInt32LE(0), digest.readUInt32LE(4) || 1];
}
