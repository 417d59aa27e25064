import { copyEvents } from '../../src/event-copy/copy-events';
import { openCopyLog } from '../../src/event-copy/copy-log';

/** Copies a log as `events copy` does and prints a line for each batch: its phase, at last the outcome as JSON. */
async function main(from: string, to: string, inFlight: number): Promise<void> {
  const onError = (error: Error) => console.error(error);
  const source = await openCopyLog(from, { home: '', create: false, onError });
  const target = await openCopyLog(to, { home: '', create: true, onError });
  const { signal } = new AbortController();
  const onProgress = ({ phase }: { phase: string }) => console.log(phase);
  console.log(JSON.stringify(await copyEvents({ source, target, inFlight, signal, onProgress })));
  await target.close();
  await source.close();
}

void main(process.argv[2]!, process.argv[3]!, Number(process.argv[4]));
