import { setTimeout as sleep } from 'node:timers/promises';
import { stopSignal } from '../../src/cli/stop-signal';

/** Serves nothing until it is asked to stop, and then needs a moment, as a server does. */
async function main(): Promise<void> {
  const stopped = stopSignal();
  const serving = setInterval(() => undefined, 1_000);
  console.log('serving');
  await stopped;
  await sleep(200);
  clearInterval(serving);
  console.log('stopped');
  process.exit(0);
}

void main();
