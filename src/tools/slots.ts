/** Nobody came to an end in time. */
export class NoSlotError extends Error {
  override readonly name = 'NoSlotError';
}

/**
 * Runs at most `count` works at once, the others in the order in which they came. Throws NoSlotError where a work would begin
 * later than after `waitMs`. (Default: it waits for ever)
 */
export function createSlots(count: number, waitMs?: number): <T>(work: () => Promise<T>) => Promise<T> {
  const queue = new Set<() => void>();
  let free = count;

  function wait(): Promise<void> {
    return new Promise((resolve, reject) => {
      const begin = () => {
        clearTimeout(patience);
        resolve();
      };
      const giveUp = () => {
        queue.delete(begin);
        reject(new NoSlotError(`${count} at work, and none came to an end within ${waitMs} ms`));
      };
      const patience = waitMs === undefined ? undefined : setTimeout(giveUp, waitMs);
      queue.add(begin);
    });
  }

  return async (work) => {
    if (free > 0) free -= 1;
    else await wait();
    try {
      return await work();
    } finally {
      const [next] = queue;
      if (next) {
        queue.delete(next);
        next();
      } else free += 1;
    }
  };
}
