import { randomUUID } from 'node:crypto';
import { Global, Module } from '@nestjs/common';
import type { DynamicModule } from '@nestjs/common';
import { ProjectionsModule } from '../projections';
import { surfaces } from '../projections/surfaces';
import { createVerifier } from './auth/verifier';
import type { Verifier } from './auth/verifier';
import { CommandsModule } from './commands/commands.module';
import { COMMANDS_POOL, DISCARDS, EVENT_STORE, JUDGE, NEW_ID } from './commands/tokens';
import { HttpModule } from './http/http.module';
import type { SnapshotReader } from './db/snapshot-reader';
import { OPERATOR_CONTEXT } from './replay/operator-context';
import type { OperatorContext } from './replay/operator-context';
import { AuditsController } from './replay/audits.controller';
import { PoliciesController } from './replay/policies.controller';
import { ProjectionsController } from './replay/projections.controller';
import { ReplayStepsController } from './replay/replay-steps.controller';
import { ReplaysController } from './replay/replays.controller';
import type { Runtime } from './runtime/runtime';

/** What controllers and command handlers ask for, out of the process's runtime. */
@Global()
@Module({})
class RuntimeModule {
  static of(runtime: Runtime): DynamicModule {
    const { pool, store, clock, live, discarded } = runtime;
    const judge = () => live.current();
    const operatorContext: OperatorContext = { pool, store, clock, surfaces, judge };
    const providers = [
      { provide: EVENT_STORE, useValue: store },
      { provide: JUDGE, useValue: judge },
      { provide: DISCARDS, useValue: discarded },
      { provide: NEW_ID, useValue: () => randomUUID() },
      { provide: COMMANDS_POOL, useValue: pool },
      { provide: OPERATOR_CONTEXT, useValue: operatorContext },
    ];
    return { module: RuntimeModule, providers, exports: providers.map(({ provide }) => provide) };
  }
}

/**
 * One process. Without the api role it lets nobody in but to health and metrics. Commands are always there,
 * because the reconciler sends them through the same executor as HTTP does.
 */
@Module({})
export class AppModule {
  static of(runtime: Runtime, reader: SnapshotReader): DynamicModule {
    const { auth, roles } = runtime.config;
    const serves = roles.has('api');
    return {
      module: AppModule,
      imports: [
        RuntimeModule.of(runtime),
        HttpModule.register({
          clock: runtime.clock,
          verifier: serves && auth ? createVerifier(auth, runtime.clock) : servesNobody,
        }),
        CommandsModule,
        ...(serves ? [ProjectionsModule.register(reader)] : []),
      ],
      controllers: serves
        ? [
            ProjectionsController,
            ReplaysController,
            ReplayStepsController,
            PoliciesController,
            AuditsController,
          ]
        : [],
    };
  }
}

const servesNobody: Verifier = {
  verify: () => Promise.resolve({ ok: false, reason: 'invalid', detail: 'this process has no api role' }),
};
