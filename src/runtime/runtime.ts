import { readFile } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import type { Pool } from 'pg';
import { surfaces } from '../../projections/surfaces';
import { LATEST_CLASSIFIER } from '../classifier/classifier';
import { defaultPolicy, policyOfText } from '../classifier/policy';
import type { Policy } from '../classifier/policy';
import { ConfigError } from '../config';
import type { Config } from '../config';
import { openDatabase } from '../db/database';
import { migrate, missingMigrations } from '../db/migrate';
import { EventStoreUnavailableError } from '../event-store/event-store';
import type { EventStore } from '../event-store/event-store';
import { ConnectionStringError } from '../event-store/eventstoredb-connection-string';
import type { SubscriptionObserver } from '../event-store/eventstoredb-subscription';
import { createPostgresEventStore } from '../event-store/postgres-event-store';
import { systemClock } from '../events/instant';
import type { Clock } from '../events/instant';
import { DiscardedEvents } from '../projector/discarded-events';
import { ensureLiveGeneration, liveGeneration } from '../projector/generations';
import type { Generation } from '../projector/generations';
import { LiveClassification } from '../projector/live-classification';
import { loadPolicy, savePolicy } from '../projector/policies';

/** What every process stands on, whatever its roles: the database, the log, the live generation and its judge. */
export interface Runtime {
  readonly config: Config;
  readonly pool: Pool;
  readonly lookups: Pool;
  readonly databaseUrl: string;
  /** See Database.isRunning. */
  readonly databaseIsRunning: (() => Promise<boolean>) | undefined;
  readonly store: EventStore;
  readonly clock: Clock;
  readonly generation: Generation;
  readonly live: LiveClassification;
  readonly discarded: DiscardedEvents;
  /** Who is told of the subscriptions that begin from now on; EventStoreDB's only, PostgreSQL's are local. */
  observeSubscriptions(observer: SubscriptionObserver): void;
  close(): Promise<void>;
}

/** What whoever projects or builds is told of a runtime. */
export function projectorOptions({ pool, store, config }: Runtime) {
  return { pool, store, surfaces, batchSize: config.projectorBatchSize };
}

function refuseOlderSchema({ names, isEmpty }: Awaited<ReturnType<typeof missingMigrations>>): void {
  if (names.length === 0) return;
  throw new SchemaNotCurrentError(
    isEmpty
      ? 'nothing has been kept in this database yet: start a server on it, or run `opstruth migrate`'
      : `the database is older than this version, it lacks ${names.join(', ')}: run \`opstruth migrate\``,
  );
}

type EventStoreDb = typeof import('../event-store/eventstoredb-event-store');

export interface RuntimeOptions {
  readonly migrate: boolean;
  readonly clock?: Clock;
  /** In place of the one that the configuration names; closed with the runtime. */
  readonly store?: EventStore;
  /** Opens beside a live generation that another version made: for replays, and to look at positions. */
  readonly anySurfaces?: boolean;
  /** What PostgreSQL shows for its connections. (Default: opstruth) */
  readonly applicationName?: string;
  /** How long a statement outside of a transaction may take; see PoolOptions. (Default: for ever) */
  readonly answersWithinMs?: number;
}

/** For a catch: of the log in EventStoreDB nobody has been asked anything before. */
function nameSetting(error: unknown): never {
  if (!(error instanceof EventStoreUnavailableError)) throw error;
  throw new EventStoreUnavailableError(`EVENT_STORE_URL: ${error.message}`, { cause: error });
}

/** The schema is older than this binary, or there is none yet. */
export class SchemaNotCurrentError extends Error {
  override readonly name = 'SchemaNotCurrentError';
}

/**
 * Opens the database and the log, migrates when asked to, and makes the first policy and generation where there are
 * none. Throws ConfigError, PolicyError, DatabaseUnreachableError, SchemaNotCurrentError or GenerationMismatchError,
 * with nothing left open.
 */
export async function openRuntime(
  config: Config,
  log: Pick<Logger, 'info' | 'warn' | 'error'>,
  options: RuntimeOptions = { migrate: true },
): Promise<Runtime> {
  const { applicationName = 'opstruth', answersWithinMs } = options;
  const firstPolicy = await readPolicy(config);
  // Each of a pool's connections tells when the server goes, and all the same: no stacks.
  const onError = (error: Error) => log.warn({ reason: error.message }, 'a database connection was lost');
  // Connects at its first use, so a wrong setting is told before anything is open.
  let observer: SubscriptionObserver = () => ({});
  const given = options.store ?? openEventStoreDb(config, log, (from) => observer(from));
  const database = await openDatabase(config, { applicationName, onError, answersWithinMs }).catch(
    async (error: unknown) => {
      await given?.close();
      throw error;
    },
  );
  const { pool, lookups } = database;
  const store = given ?? createPostgresEventStore({ pool, lookups, onError });
  const close = async () => {
    await store.close();
    await database.close();
  };
  try {
    if (options.migrate) {
      const applied = await migrate(pool);
      if (applied.length > 0) log.info({ migrations: applied }, 'database migrated');
    } else {
      refuseOlderSchema(await missingMigrations(pool));
    }
    const generation = await ensureLiveGeneration(pool, {
      surfaces,
      classifierVersion: LATEST_CLASSIFIER,
      policyVersion:
        (await liveGeneration(pool))?.policyVersion ??
        (await savePolicy(pool, firstPolicy, 'opstruth', 'policy of the first generation')),
      logIdentity: await store.identity().catch(nameSetting),
      anySurfaces: options.anySurfaces ?? false,
    });
    await warnOfOtherPolicy(pool, generation, config, firstPolicy, log);
    const live = new LiveClassification(pool);
    await live.refresh();
    const discarded = await new DiscardedEvents(pool).refresh();
    return {
      config,
      pool,
      lookups,
      databaseUrl: database.url,
      databaseIsRunning: database.isRunning,
      store,
      clock: options.clock ?? systemClock,
      generation,
      live,
      discarded,
      observeSubscriptions: (next) => (observer = next),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The log of a team that runs EventStoreDB or KurrentDB; read tables and control tables stay in PostgreSQL. */
function openEventStoreDb(
  { eventStoreUrl }: Config,
  log: Pick<Logger, 'warn'>,
  observer: SubscriptionObserver,
): EventStore | undefined {
  if (eventStoreUrl === undefined) return undefined;
  // Its client is large, and most have no use for it.
  // oxlint-disable-next-line typescript/no-require-imports
  const { createEventStoreDbEventStore } = require('../event-store/eventstoredb-event-store') as EventStoreDb;
  try {
    return createEventStoreDbEventStore({
      url: eventStoreUrl,
      onError: (error) => log.warn({ err: error }, 'an event subscription was interrupted'),
      observer,
    });
  } catch (error) {
    if (error instanceof ConnectionStringError) throw new ConfigError([`EVENT_STORE_URL: ${error.message}`]);
    throw error;
  }
}

/** The file is the policy of the first generation only; whoever edits it later must not believe that it rules. */
async function warnOfOtherPolicy(
  pool: Pool,
  { policyVersion }: Generation,
  { policyFile }: Config,
  given: Policy,
  log: Pick<Logger, 'warn'>,
): Promise<void> {
  if (policyFile === undefined) return;
  const { policy } = await loadPolicy(pool, policyVersion);
  if (isDeepStrictEqual(policy, given)) return;
  log.warn(
    { policyFile, policyVersion },
    'the policy file is not the policy in force: `opstruth policy propose` keeps it, a replay puts it in force',
  );
}

async function readPolicy({ policyFile }: Config): Promise<Policy> {
  if (policyFile === undefined) return defaultPolicy();
  const text = await readFile(policyFile, 'utf8').catch((cause: unknown) => {
    throw new ConfigError([`OPSTRUTH_POLICY_FILE: cannot be read: ${(cause as Error).message}`]);
  });
  try {
    return policyOfText(text);
  } catch (cause) {
    throw new ConfigError([`OPSTRUTH_POLICY_FILE: ${policyFile}: ${(cause as Error).message}`]);
  }
}
