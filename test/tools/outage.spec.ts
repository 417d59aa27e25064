import { Outage } from '../../src/tools/outage';

test('what failed each second was told each second, and nobody that it works again', () => {
  const told: unknown[] = [];
  const log = {
    error: ({ err }: { err?: Error }, message: string) => told.push(`${message}: ${err!.message}`),
    info: (_: object, message: string) => told.push(message),
  };
  const outage = new Outage(log, 'a look failed');
  outage.worked();
  for (const reason of ['gone', 'gone', 'refused', 'refused']) outage.failed(new Error(reason));
  outage.worked();
  outage.worked();
  outage.failed(new Error('gone'));
  expect(told).toEqual([
    'a look failed: gone',
    'a look failed: refused',
    'works again: a look failed',
    'a look failed: gone',
  ]);
});
