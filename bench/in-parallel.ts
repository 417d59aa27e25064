/** Starts `work` for 0 to `count` - 1, all at once, and waits for every one of them. Throws the first failure. */
export async function inParallel(count: number, work: (nth: number) => Promise<void>): Promise<void> {
  await Promise.all(Array.from({ length: count }, (_, nth) => work(nth)));
}

/** The same with at most `lanes` under way, each taking the next when it is done. */
export async function inLanes(
  count: number,
  lanes: number,
  work: (nth: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  await inParallel(Math.min(lanes, count), async () => {
    while (next < count) await work(next++);
  });
}
