import { pino } from 'pino';
import type { Launcher } from '../../bench/bench-context';
import { runTask } from '../../bench/tasks';
import { loadConfig } from '../../src/config';
import { openRuntime } from '../../src/runtime/runtime';
import { startServer } from '../../src/runtime/server';
import { EventStoreDbStandIn } from '../support/eventstoredb-stand-in';

/** Everything in this process: a test measures nothing, and needs no build. */
export const inProcessLauncher: Launcher = {
  measure: runTask,
  async standIn() {
    const standIn = new EventStoreDbStandIn();
    await standIn.start();
    return { url: standIn.url, place: 'in this process', stop: () => standIn.stop() };
  },
  async serve(env) {
    const log = pino({ level: 'silent' });
    const runtime = await openRuntime(loadConfig({ ...env, PORT: '0' }), log);
    try {
      const server = await startServer(runtime, log);
      const stop = async () => {
        await server.close();
        await runtime.close();
      };
      return { url: server.url, place: 'in this process', stop };
    } catch (error) {
      await runtime.close();
      throw error;
    }
  },
};
