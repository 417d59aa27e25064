import { Pool } from 'pg';
import { inLanes } from '../../src/replay/build/in-lanes';
import { makeIndexes } from '../../src/replay/build/make-indexes';
import type { Generation } from '../../src/projector/generations';

test('a lane that could not be opened left all of the work to the other, and then failed', async () => {
  let opened = 0;
  const done: number[] = [];
  const open = () => {
    opened += 1;
    return opened === 2 ? Promise.reject(new Error('no connection')) : Promise.resolve(opened);
  };
  const lanes = inLanes([1, 2, 3, 4, 5], 2, { open, close: () => undefined }, async (item) => {
    await new Promise((resolve) => setImmediate(resolve));
    done.push(item);
  });
  await expect(lanes).rejects.toThrow('no connection');
  expect(done).toEqual([1]);
});

test('a connection that did not take the settings of a build was not given back', async () => {
  const pool = new Pool({ max: 2 });
  let out = 0;
  const client = {
    query: () => Promise.reject(new Error('terminating connection')),
    release: () => (out -= 1),
  };
  pool.connect = () => Promise.resolve(((out += 1), client)) as never;
  const options = { pool, surfaces: [], giveWay: () => Promise.resolve() };
  await expect(
    makeIndexes({ schema: 'any' } as Generation, options, new AbortController().signal),
  ).rejects.toThrow('terminating connection');
  expect(out).toBe(0);
  await pool.end();
});
