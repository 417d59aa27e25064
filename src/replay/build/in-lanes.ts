/**
 * Does `work` on every item, at most `lanes` of them at a time, each lane with a resource of its own that `open` gives and
 * `close` takes back. Once one has failed no other is begun. Throws the first failure, when nothing is at work any more.
 */
export async function inLanes<Item, Resource>(
  items: readonly Item[],
  lanes: number,
  {
    open,
    close,
  }: { readonly open: () => Promise<Resource>; readonly close: (resource: Resource) => unknown },
  work: (item: Item, resource: Resource) => Promise<void>,
): Promise<void> {
  const waiting = [...items];
  const outcomes = await Promise.allSettled(
    Array.from({ length: Math.min(lanes, items.length) }, async () => {
      let resource: Resource | undefined;
      try {
        resource = await open();
        for (let item = waiting.shift(); item !== undefined; item = waiting.shift())
          await work(item, resource);
      } catch (error) {
        waiting.length = 0;
        throw error;
      } finally {
        if (resource !== undefined) await close(resource);
      }
    }),
  );
  const failed = outcomes.find((outcome) => outcome.status === 'rejected');
  if (failed) throw failed.reason;
}
