import { EventStoreDbStandIn } from './eventstoredb-stand-in';

/** A stand-in in a process of its own: prints its url, and ends on SIGTERM. */
async function main(): Promise<void> {
  const standIn = new EventStoreDbStandIn();
  await standIn.start();
  process.once('SIGTERM', () => void standIn.stop());
  console.log(standIn.url);
}

void main();
