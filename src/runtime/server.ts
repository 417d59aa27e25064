import { NestFactory } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { Logger } from 'pino';
import { AppModule } from '../app.module';
import { startBackgroundRoles } from './background-roles';
import { IdempotencyKeys } from '../commands/idempotency';
import { RunCommandExecutor } from '../commands/run-command-executor';
import { SnapshotReader } from '../db/snapshot-reader';
import { Readiness } from '../http/health.controller';
import { configureHttp, createHttpAdapter } from '../http/http-app';
import { NestLogger } from '../observability/logger';
import { Metrics } from '../observability/metrics';
import { observeProjections } from './projection-observability';
import { createProjectorHealth } from '../projector/projector-role';
import { followProjections } from '../projector/projection-news';
import { buildHere } from '../replay/replay-worker';
import type { Build } from '../replay/replay-worker';
import { projectorOptions } from './runtime';
import type { Runtime } from './runtime';
import { observeSubscriptions } from './subscription-observability';

export interface Server {
  /** Where it listens: `http://host:port`. */
  readonly url: string;
  readonly executor: RunCommandExecutor;
  /** Rejects when a part of it has died that only a new process brings back. Whoever serves for long ends on it. */
  readonly failure: Promise<never>;
  /** Stops taking requests, ends the loops, and leaves the runtime open for its owner to close. */
  close(): Promise<void>;
}

/** Starts HTTP and the roles of the configuration over an open runtime. Replays are built by `build`. (Default: in this process) */
export async function startServer(
  runtime: Runtime,
  log: Logger,
  build: Build = buildHere(projectorOptions(runtime)),
): Promise<Server> {
  const { config, pool } = runtime;
  const projected = followProjections({
    pool,
    onError: (error) => log.warn({ err: error }, 'waiting for projections by polling'),
  });
  const reader = new SnapshotReader(pool, { lookups: runtime.lookups, wakeUp: projected });
  const app = await NestFactory.create<NestFastifyApplication>(
    AppModule.of(runtime, reader),
    createHttpAdapter(log),
    { bodyParser: false, logger: new NestLogger(log) },
  );
  configureHttp(app);
  const executor = app.get(RunCommandExecutor);
  const metrics = app.get(Metrics);
  const observed = observeProjections(runtime, metrics);
  if (config.eventStoreUrl !== undefined)
    runtime.observeSubscriptions(observeSubscriptions(metrics, () => runtime.store.tail()));
  const { onBatch } = observed;
  const projector = createProjectorHealth();
  app.get(Readiness).add(...observed.probes(projector));
  try {
    await app.listen(config.port, config.host);
  } catch (error) {
    await app.close();
    await projected.close();
    throw error;
  }
  // Only now: a process that cannot serve must not have ended a run before it ends itself.
  const loops = { projector, build, onBatch };
  const roles = startBackgroundRoles(runtime, executor, app.get(IdempotencyKeys), log, loops);
  const close = async () => {
    await app.close();
    await roles.stop();
    await projected.close();
  };
  const url = (await app.getUrl()).replace('[::1]', 'localhost');
  log.info({ url, roles: [...config.roles] }, 'serving');
  return { url, executor, failure: roles.failure, close };
}
