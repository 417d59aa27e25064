import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { PostgreSqlContainer } from '@testcontainers/postgresql';
import { GenericContainer, Wait, getContainerRuntimeClient } from 'testcontainers';
import { createEventStoreDbEventStore } from '../../src/event-store/eventstoredb-event-store';
import { runSuites } from './run-suites';
import type { Containers, StartedServer } from './run-suites';

const POSTGRES_IMAGE = process.env.TEST_POSTGRES_IMAGE ?? 'postgres:18';
const EVENT_STORE_IMAGE = process.env.TEST_EVENTSTORE_IMAGE ?? 'eventstore/eventstore:24.10';
const EVENT_STORE_PORT = 2113;
/** From the first answer on its port a node takes a while to elect itself. */
const READY_WITHIN_MS = 60_000;

async function whyNoDocker(): Promise<string | null> {
  try {
    await getContainerRuntimeClient();
    return null;
  } catch (error) {
    return (error as Error).message;
  }
}

async function startPostgres(): Promise<StartedServer> {
  const container = await new PostgreSqlContainer(POSTGRES_IMAGE).start();
  return { url: container.getConnectionUri(), image: POSTGRES_IMAGE, stop: () => container.stop() };
}

/** The settings of both names: EventStoreDB knows the first, KurrentDB the second. */
function settings(): Record<string, string> {
  const values = { CLUSTER_SIZE: '1', INSECURE: 'true', RUN_PROJECTIONS: 'None', MEM_DB: 'true' };
  const prefix = EVENT_STORE_IMAGE.includes('kurrent') ? 'KURRENTDB' : 'EVENTSTORE';
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [`${prefix}_${name}`, value]));
}

async function startEventStore(): Promise<StartedServer> {
  const container = await new GenericContainer(EVENT_STORE_IMAGE)
    .withEnvironment(settings())
    .withExposedPorts(EVENT_STORE_PORT)
    .withWaitStrategy(Wait.forListeningPorts())
    .start();
  const url = `esdb://${container.getHost()}:${container.getMappedPort(EVENT_STORE_PORT)}?tls=false`;
  const server = { url, image: EVENT_STORE_IMAGE, stop: () => container.stop() };
  const store = createEventStoreDbEventStore({ url, onError: console.error, retryForMs: READY_WITHIN_MS });
  try {
    await store.identity();
    return server;
  } catch (error) {
    await server.stop();
    throw error;
  } finally {
    await store.close();
  }
}

async function jest(paths: readonly string[], env: Readonly<Record<string, string>>): Promise<number> {
  const child = spawn(process.execPath, [require.resolve('jest/bin/jest'), ...paths], {
    stdio: 'inherit',
    env: { ...process.env, ...env },
  });
  const [code] = (await once(child, 'exit')) as [number | null];
  return code ?? 1;
}

const containers: Containers = {
  whyNoDocker,
  startPostgres,
  startEventStore: EVENT_STORE_IMAGE === 'none' ? null : startEventStore,
  jest,
  say: (line) => console.log(line),
};

void runSuites(containers, process.argv.slice(2)).then(
  (code) => (process.exitCode = code),
  (error: unknown) => {
    const what = error instanceof Error ? error.message : String(error);
    console.error(`the suites in containers cannot run: ${what}`);
    console.error(
      `TEST_POSTGRES_IMAGE (${POSTGRES_IMAGE}) and TEST_EVENTSTORE_IMAGE (${EVENT_STORE_IMAGE}) choose images`,
    );
    process.exitCode = 1;
  },
);
