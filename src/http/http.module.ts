import { Module } from '@nestjs/common';
import type { DynamicModule } from '@nestjs/common';
import { AuthGuard, VERIFIER } from '../auth/auth.guard';
import type { Verifier } from '../auth/verifier';
import type { Clock } from '../events/instant';
import { Metrics } from '../observability/metrics';
import { MetricsController } from './metrics.controller';
import { CLOCK } from './clock';
import { HealthController, Readiness } from './health.controller';

/** What every controller stands on. Global, so that a slice asks for CLOCK, Metrics or Readiness and imports nothing. */
@Module({})
export class HttpModule {
  static register({
    clock,
    verifier,
  }: {
    readonly clock: Clock;
    readonly verifier: Verifier;
  }): DynamicModule {
    return {
      module: HttpModule,
      global: true,
      controllers: [HealthController, MetricsController],
      providers: [
        { provide: CLOCK, useValue: clock },
        { provide: VERIFIER, useValue: verifier },
        AuthGuard,
        Metrics,
        Readiness,
      ],
      exports: [CLOCK, VERIFIER, AuthGuard, Metrics, Readiness],
    };
  }
}
