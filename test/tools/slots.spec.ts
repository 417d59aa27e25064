import { createSlots, NoSlotError } from '../../src/tools/slots';

test('works begin in the order in which they came, so many at a time', async () => {
  const inSlot = createSlots(2);
  const begun: number[] = [];
  const ends: (() => void)[] = [];
  const works = [0, 1, 2, 3].map((n) =>
    inSlot(() => {
      begun.push(n);
      return new Promise<void>((resolve) => (ends[n] = resolve));
    }),
  );
  await Promise.resolve();
  expect(begun).toEqual([0, 1]);
  ends[1]!();
  await works[1];
  await new Promise(setImmediate);
  expect(begun).toEqual([0, 1, 2]);
  ends[0]!();
  ends[2]!();
  await works[2];
  await new Promise(setImmediate);
  ends[3]!();
  await Promise.all(works);
  expect(begun).toEqual([0, 1, 2, 3]);
});

test('whoever waits too long is told, and keeps no place', async () => {
  const inSlot = createSlots(1, 1);
  let end!: () => void;
  const first = inSlot(() => new Promise<void>((resolve) => (end = resolve)));
  const second = jest.fn(() => Promise.resolve());
  await expect(inSlot(second)).rejects.toThrow(NoSlotError);
  expect(second).not.toHaveBeenCalled();
  end();
  await first;
  expect(await inSlot(() => Promise.resolve(3))).toBe(3);
});
