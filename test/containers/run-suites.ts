/** A server that was started for the suites. */
export interface StartedServer {
  readonly url: string;
  readonly image: string;
  readonly stop: () => Promise<unknown>;
}

export interface Containers {
  /** Null when there is a Docker that works, else why not. */
  readonly whyNoDocker: () => Promise<string | null>;
  readonly startPostgres: () => Promise<StartedServer>;
  /** Null when it was asked to be left out. */
  readonly startEventStore: (() => Promise<StartedServer>) | null;
  /** Runs jest on paths, with more environment, and answers its exit code. */
  readonly jest: (paths: readonly string[], env: Readonly<Record<string, string>>) => Promise<number>;
  readonly say: (line: string) => void;
}

/** With the contract of both adapters: nobody else writes to the server in EventStoreDB's container meanwhile. */
const ON_POSTGRES = [
  'test/contract/postgres',
  'test/contract/eventstoredb-event-store',
  'test/db/migrate',
  'test/commands',
  'test/projector',
  'test/projections',
  'test/end-to-end',
];
const ON_EVENT_STORE = ['test/commands', 'test/projector', 'test/end-to-end'];

/**
 * Runs the integration suites (or `paths`) on servers in containers: with the log in PostgreSQL, then in EventStoreDB.
 * Answers an exit code: 0 also when there is no Docker, which it says.
 */
export async function runSuites(containers: Containers, paths: readonly string[]): Promise<number> {
  const { jest, say } = containers;
  const reason = await containers.whyNoDocker();
  if (reason !== null) {
    say(`skipped: the suites in containers need Docker, and there is none (${reason}); npm test needs none`);
    return 0;
  }
  const started: StartedServer[] = [];
  const start = async (what: string, server: () => Promise<StartedServer>) => {
    const one = await server().catch((cause: unknown) => {
      throw new Error(`${what} does not start: ${(cause as Error).message}`, { cause });
    });
    started.push(one);
    say(`${what}: ${one.image}`);
    return one.url;
  };
  const chosen = (suites: readonly string[]) => (paths.length > 0 ? paths : suites);
  try {
    const env: Record<string, string> = {
      TEST_DATABASE_URL: await start('PostgreSQL', containers.startPostgres),
    };
    if (containers.startEventStore)
      env.EVENT_STORE_TEST_URL = await start('EventStoreDB', containers.startEventStore);
    const onPostgres = await jest(chosen(ON_POSTGRES), { ...env, EVENT_STORE: 'postgres' });
    if (!containers.startEventStore) {
      say('skipped: the suites on EventStoreDB, for TEST_EVENTSTORE_IMAGE=none');
      return onPostgres;
    }
    return (await jest(chosen(ON_EVENT_STORE), { ...env, EVENT_STORE: 'server' })) || onPostgres;
  } finally {
    await Promise.all(started.map(({ stop }) => stop()));
  }
}
