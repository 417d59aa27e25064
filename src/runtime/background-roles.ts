import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { Logger } from 'pino';
import { surfaces } from '../../projections/surfaces';
import type { IdempotencyKeys } from '../commands/idempotency';
import type { RunCommandExecutor } from '../commands/run-command-executor';
import { EmbeddedPostgresError } from '../embedded-postgres/account';
import { sleep } from '../tools/abortable';
import { Outage } from '../tools/outage';
import { addSeconds } from '../events/instant';
import type { Clock } from '../events/instant';
import { dueRuns } from '../projector/due-runs';
import type { AppliedBatch } from '../projector/generation-projector';
import { createLease } from '../projector/lease';
import { judgeFor } from '../projector/live-classification';
import { runProjectorRole } from '../projector/projector-role';
import type { ProjectorHealth } from '../projector/projector-role';
import { runAuditLoop } from '../audit/audit-loop';
import { runReplayWorker } from '../replay/replay-worker';
import type { Build } from '../replay/replay-worker';
import { runReconciler } from '../reconciler/reconciler';
import { projectorOptions } from './runtime';
import type { Runtime } from './runtime';

/** How long a projector that went silent keeps others from taking over. */
const LEASE_TTL_SECONDS = 5;
const REFRESH_EVERY_MS = 1_000;
const WATCH_EVERY_MS = 2_000;
const FORGET_EVERY_MS = 3_600_000;
const KEEP_ANSWERS_SECONDS = 7 * 86_400;

/** Some milliseconds of work a minute; a run of a million is looked at once a month, a broken fold within minutes. */
const AUDIT_EVERY_MS = 60_000;
const AUDIT_SAMPLE = 20;

/** A process's loops that are not HTTP. */
export interface BackgroundRoles {
  /** Rejects when a loop has ended by an error, and settles in no other way: see Server.failure. */
  readonly failure: Promise<never>;
  /** Ends the loops between two transactions, gives the lease back, and waits for all of it. */
  stop(): Promise<void>;
}

export function startBackgroundRoles(
  runtime: Runtime,
  executor: RunCommandExecutor,
  keys: IdempotencyKeys,
  log: Logger,
  {
    projector,
    build,
    onBatch,
  }: {
    readonly projector: ProjectorHealth;
    readonly build: Build;
    readonly onBatch?: (batch: AppliedBatch) => void;
  },
): BackgroundRoles {
  const { config, pool, store, clock } = runtime;
  const stopping = new AbortController();
  const { signal } = stopping;
  const loops = [refreshLoop(runtime, log, signal), forgetLoop(keys, clock, log, signal)];
  const { databaseIsRunning } = runtime;
  if (databaseIsRunning) loops.push(watchDatabase(databaseIsRunning, signal));

  const holder = `${hostname()}:${process.pid}:${randomUUID().slice(0, 8)}`;
  if (config.roles.has('projector')) {
    loops.push(
      runProjectorRole(
        {
          ...projectorOptions(runtime),
          lease: createLease(pool, 'projector', holder, LEASE_TTL_SECONDS),
          leaseTtlSeconds: LEASE_TTL_SECONDS,
          judgeFor: (generation) => judgeFor(pool, generation),
          log: log.child({ role: 'projector' }),
          ...(onBatch && { onBatch }),
        },
        projector,
        signal,
      ),
      runReplayWorker(
        {
          pool,
          surfaces,
          build,
          leaseFor: (name) => createLease(pool, name, holder, LEASE_TTL_SECONDS),
          leaseTtlSeconds: LEASE_TTL_SECONDS,
          log: log.child({ role: 'replay' }),
        },
        signal,
      ),
      runAuditLoop(
        {
          pool,
          store,
          surfaces,
          // Held over the pause, so that the rate stays that of one process however many there are.
          lease: createLease(pool, 'audit', holder, (AUDIT_EVERY_MS * 2) / 1000),
          everyMs: AUDIT_EVERY_MS,
          sample: AUDIT_SAMPLE,
          random: Math.random,
          log: log.child({ role: 'audit' }),
        },
        signal,
      ),
    );
  }
  if (config.roles.has('reconciler'))
    loops.push(
      runReconciler(
        {
          executor,
          dueRuns: (asOf, afterRunId, limit) => dueRuns(pool, asOf, afterRunId, limit),
          clock,
          logger: log.child({ role: 'reconciler' }),
          intervalMs: config.reconcilerIntervalSeconds * 1000,
        },
        signal,
      ),
    );
  // Each loop handles its own failures; one that still ends by an error is a bug worth the whole process.
  const failure = Promise.race(loops.map((loop) => failureOf(loop, log)));
  failure.catch(() => undefined); // the log has it, whether or not anybody waits

  return {
    failure,
    async stop() {
      stopping.abort();
      await Promise.allSettled(loops);
    },
  };
}

async function failureOf(loop: Promise<void>, log: Logger): Promise<never> {
  try {
    await loop;
  } catch (error) {
    log.fatal({ err: error }, 'a background loop has ended by an error');
    throw error;
  }
  return new Promise(() => undefined);
}

/** Old answers are of no use: a repeat that comes later still finds its events in the log. */
async function forgetLoop(
  keys: IdempotencyKeys,
  clock: Clock,
  log: Logger,
  until: AbortSignal,
): Promise<void> {
  while (!until.aborted) {
    await keys
      .forget(addSeconds(clock.now(), -KEEP_ANSWERS_SECONDS))
      .catch((error: unknown) =>
        log.error({ err: error }, 'old idempotency keys could not be dropped; it will be tried again'),
      );
    await sleep(FORGET_EVERY_MS, until);
  }
}

/**
 * Ends by an error once the embedded server has gone: where it would listen when it is started again is not where this process
 * knows it to be, and somebody has to see that it went.
 */
async function watchDatabase(isRunning: () => Promise<boolean>, until: AbortSignal): Promise<void> {
  while (!until.aborted) {
    await sleep(WATCH_EVERY_MS, until);
    if (!until.aborted && !(await isRunning()))
      throw new EmbeddedPostgresError('the embedded PostgreSQL has ended: start opstruth again');
  }
}

async function refreshLoop({ live, discarded }: Runtime, log: Logger, until: AbortSignal): Promise<void> {
  const outage = new Outage(
    log,
    'policy and discarded events could not be looked up; those known stay in force',
  );
  while (!until.aborted) {
    await sleep(REFRESH_EVERY_MS, until);
    await Promise.all([live.refresh(), discarded.refresh()]).then(
      () => outage.worked(),
      (error: unknown) => outage.failed(error),
    );
  }
}
