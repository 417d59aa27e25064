import type { BenchContext, Benchmark, LogTarget } from './bench-context';
import { figure } from './figures';

export const eventStoresBenchmark: Benchmark = {
  name: 'event-stores',
  about:
    'The same events, decided before, written to an empty log as an import does and then followed from its beginning, ' +
    'through both event stores, each time in a process of its own. The adapter of EventStoreDB speaks ' +
    "to the tests' stand-in, a log in memory in another process on the same processors, so that its figures are those " +
    'of the client and of gRPC in Node. A real server is measured as well where --event-store names an empty one. ' +
    'Figures: event-stores.postgresql.append and .subscribe, event-stores.stand-in.append and .subscribe, ' +
    'event-stores.eventstoredb.append and .subscribe',
  async run(context) {
    const databaseUrl = await context.freshDatabase('bench_event_stores');
    await measureLog(context, 'postgresql', { databaseUrl });
    const standIn = await context.launcher.standIn();
    context.say(`the stand-in runs ${standIn.place}`);
    try {
      // The read side, which nobody uses here, belongs to one log for life.
      const readSideUrl = await context.freshDatabase('bench_event_stores_2');
      await measureLog(context, 'stand-in', { databaseUrl: readSideUrl, eventStoreUrl: standIn.url });
    } finally {
      await standIn.stop();
    }
    if (context.eventStoreUrl === undefined) return;
    const { eventStoreUrl } = context;
    const databaseOfServer = await context.freshDatabase('bench_event_stores_3');
    await measureLog(context, 'eventstoredb', { databaseUrl: databaseOfServer, eventStoreUrl });
  },
};

async function measureLog({ launcher, sizes, record, say }: BenchContext, name: string, target: LogTarget) {
  for (const kind of ['append', 'subscribe'] as const) {
    const done = await launcher.measure({ kind, events: sizes.storedEvents, ...target });
    say(
      `${name}, ${kind}: ${done.events.toLocaleString('en')} events in ${done.seconds.toFixed(1)} s, ` +
        `${done.cpuSeconds.toFixed(1)} s of it on the processor in Node`,
    );
    record(figure(`event-stores.${name}.${kind}`, done.events / done.seconds, 'events/s'));
  }
}
