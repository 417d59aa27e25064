import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { spawnCli } from '../support/run-cli';

/** Reads the first piece of what a verb writes, then closes the pipe, as `head` does. */
async function readABit(...args: string[]) {
  const child = spawnCli(args, {});
  const closed = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
  const [[first], stderr] = await Promise.all([
    once(child.stdout, 'data').then((piece) => {
      child.stdout.destroy();
      return piece as [Buffer];
    }),
    text(child.stderr),
  ]);
  const [code, signal] = await closed;
  return { first: first.toString(), stderr, code, signal };
}

test('simulate --ndjson ended with the stack of an EPIPE when its reader left', async () => {
  // Far more than a pipe holds.
  const { first, ...ended } = await readABit('simulate', '--ndjson', '--runs', '20000');
  expect(JSON.parse(first.split('\n')[0]!)).toMatchObject({ command: 'queue' });
  expect(ended).toEqual({ stderr: '', code: 0, signal: null });
});
