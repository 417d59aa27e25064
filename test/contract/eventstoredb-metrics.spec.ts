import { loadConfig } from '../../src/config';
import { createLogger } from '../../src/observability/logger';
import { Metrics } from '../../src/observability/metrics';
import { openRuntime } from '../../src/runtime/runtime';
import { startServer } from '../../src/runtime/server';
import { observeSubscriptions } from '../../src/runtime/subscription-observability';
import { START } from '../../src/events/position';
import { createTestDatabase } from '../support/database';
import { eventually } from './event-store-fixtures';
import { standInFixture } from './eventstoredb-fixtures';

/** One sample of the exposition format; undefined when there is none. */
function sample(text: string, name: string): number | undefined {
  const line = text.split('\n').find((one) => one.startsWith(`${name} `));
  return line === undefined ? undefined : Number(line.slice(name.length));
}

describe('metrics of the subscription', () => {
  const fixture = standInFixture();

  it('tell what is handled, what waits and how far the tail is, of the reader that is farthest behind', async () => {
    const metrics = new Metrics();
    const store = fixture.open({ observer: observeSubscriptions(metrics, () => fixture.store.tail()) });
    const told = async (name: string) => sample(await metrics.registry.metrics(), `opstruth_${name}`);
    expect(await told('subscriptions')).toBe(0);
    const { position: tail } = await fixture.create(300);

    const ahead = fixture.read(tail, 100, store);
    const options = { batchSize: 100, signal: new AbortController().signal };
    const batches = store.subscribe(START, options);
    const behind = batches[Symbol.asyncIterator]();
    const next = async () => {
      const result = await behind.next();
      if (result.done) throw new Error('the subscription has ended');
      return result.value;
    };
    const first = await next();
    expect(await told('subscriptions')).toBe(2);
    // A batch that has been handed out is not handled yet.
    expect(await told('subscription_checkpoint_commit_position')).toBe(0);
    expect(await told('subscription_tail_gap_bytes')).toBe(Number(tail.commit));
    expect(await told('subscription_buffered_events')).toBeGreaterThanOrEqual(first.length);

    const second = await next();
    const handled = Number(first.at(-1)!.position.commit);
    expect(await told('subscription_checkpoint_commit_position')).toBe(handled);
    expect(await told('subscription_tail_gap_bytes')).toBe(Number(tail.commit) - handled);
    expect(await told('subscription_batch_events_count')).toBe(2);
    expect(await told('subscription_batch_events_sum')).toBe(first.length + second.length);
    expect(await told('subscription_batch_duration_seconds_count')).toBe(1);

    await behind.return?.();
    expect(await told('subscriptions')).toBe(1);
    expect(await told('subscription_tail_gap_bytes')).toBe(0);
    await ahead.stop();
    expect(await told('subscriptions')).toBe(0);
  });

  it('are at /metrics of a process whose log is in EventStoreDB', async () => {
    const database = await createTestDatabase();
    const config = loadConfig({
      DATABASE_URL: database.url,
      EVENT_STORE_URL: fixture.standIn.url,
      AUTH_JWT_SECRET: 'a secret for tests that is long enough to be accepted',
      PORT: '0',
      ROLES: 'projector',
    });
    const log = createLogger({ level: 'silent' });
    const runtime = await openRuntime(config, log);
    const server = await startServer(runtime, log);
    const scrape = async () =>
      (await fetch(`${server.url}/metrics`, { headers: { connection: 'close' } })).text();
    const { position } = await fixture.create(3);
    // What was written is no operation run, so it is parked: handled all the same.
    const checkpoint = 'opstruth_subscription_checkpoint_commit_position';
    await eventually(scrape, (text) => sample(text, checkpoint) === Number(position.commit));
    expect(sample(await scrape(), 'opstruth_subscription_tail_gap_bytes')).toBe(0);
    fixture.standIn.cutConnections();
    const restarts = 'opstruth_subscription_restarts_total{error="unavailable"}';
    await eventually(scrape, (text) => (sample(text, restarts) ?? 0) > 0);
    await server.close();
    await runtime.close();
    await database.close();
  });
});
