import { Counter } from 'prom-client';
import { surfaces } from '../../projections/surfaces';
import type { ReadinessProbe } from '../http/health.controller';
import type { Metrics } from '../observability/metrics';
import type { AppliedBatch } from '../projector/generation-projector';
import {
  GenerationMismatchError,
  hasOtherTables,
  isOfSurfaces,
  liveGeneration,
} from '../projector/generations';
import { isLeaseHeld } from '../projector/lease';
import { projectionStatus } from '../projector/projection-status';
import type { GenerationStatus } from '../projector/projection-status';
import type { ProjectorHealth } from '../projector/projector-role';
import type { Runtime } from './runtime';

/** One scrape asks for several gauges at once; they share a look that is at most this old. */
const SHARED_FOR_MS = 500;

/** The projector's figures for metrics and readiness, read from the database: any process can tell them. */
export function observeProjections(
  { pool, store, clock }: Pick<Runtime, 'pool' | 'store' | 'clock'>,
  metrics: Metrics,
) {
  let shared: { at: number; status: ReturnType<typeof projectionStatus> } | null = null;
  const look = () => {
    if (!shared || Date.now() - shared.at > SHARED_FOR_MS)
      shared = { at: Date.now(), status: projectionStatus(pool, store, clock) };
    return shared.status;
  };
  const perGeneration = (name: string, help: string, value: (generation: GenerationStatus) => number) =>
    metrics.gauge(name, help, {
      labelNames: ['generation', 'state'],
      async collect(gauge) {
        const { generations } = await look();
        gauge.reset();
        for (const one of generations)
          gauge.set({ generation: one.generation, state: one.state }, value(one));
      },
    });
  perGeneration(
    'opstruth_projection_lag_events',
    'Events in the log not yet in the read tables',
    (g) => g.lag.events,
  );
  perGeneration(
    'opstruth_projection_lag_seconds',
    'Age of the oldest event not yet projected',
    (g) => g.lag.seconds,
  );
  perGeneration('opstruth_projection_events_applied', 'Events in the read tables', (g) => g.eventsApplied);
  perGeneration(
    'opstruth_parked_streams',
    'Streams that wait behind an event which failed',
    (g) => g.parked.streams,
  );
  perGeneration('opstruth_parked_events', 'Events set aside', (g) => g.parked.events);
  observeAudits(metrics, async () => (await look()).generations);
  const batches = metrics.counter(
    'opstruth_projector_batches_total',
    'Batches that this process has committed',
  );
  const events = metrics.counter('opstruth_projector_events_total', 'Events that this process has projected');

  return {
    onBatch: (batch: AppliedBatch): void => {
      batches.inc();
      events.inc(batch.events);
    },
    probes: (health: ProjectorHealth): ReadinessProbe[] => [
      {
        name: 'database',
        async check() {
          await pool.query('select 1');
          return { ok: true, detail: {} };
        },
      },
      {
        name: 'projector',
        async check() {
          const [{ generations }, projects, shown] = await Promise.all([
            look(),
            isLeaseHeld(pool, 'projector'),
            liveGeneration(pool),
          ]);
          const live = generations.find(({ state }) => state === 'live');
          // Neither can this process project it, nor do its queries fit: requests are for processes of that version.
          const cause = shown && !isOfSurfaces(shown, surfaces) ? hasOtherTables(shown) : null;
          const error =
            cause === null ? live && health.errors.get(live.generation) : new GenerationMismatchError(cause);
          return {
            ok: live !== undefined && projects && !error,
            detail: {
              running: projects,
              holdsLease: health.holdsLease,
              failing: error?.name ?? null,
              cause,
              generation: live?.generation ?? null,
              position: live?.position ?? null,
              lagEvents: live?.lag.events ?? null,
              lagSeconds: live?.lag.seconds ?? null,
              parkedStreams: live?.parked.streams ?? null,
            },
          };
        },
      },
    ],
  };
}

/** The totals are the database's, which adds up the audits of all processes: each of them tells the same. */
function observeAudits(metrics: Metrics, generations: () => Promise<readonly GenerationStatus[]>): void {
  const total = (name: string, help: string, value: (audit: Audit) => number) =>
    new Counter({
      name,
      help,
      labelNames: ['generation'],
      registers: [metrics.registry],
      async collect() {
        const audited = await generations().catch(() => null);
        // As with gauges: a database that cannot be asked leaves the last value, and the scrape goes on.
        if (!audited) return;
        this.reset();
        for (const { generation, audit } of audited) if (audit) this.inc({ generation }, value(audit));
      },
    });
  total('opstruth_audit_runs_total', 'Runs folded anew and compared with their rows', (a) => a.runsTotal);
  total(
    'opstruth_audit_differences_total',
    'Columns that did not say what the log does',
    (a) => a.differencesTotal,
  );
  metrics.gauge('opstruth_audit_last_timestamp_seconds', 'When the last audit ended', {
    labelNames: ['generation'],
    async collect(gauge) {
      const audited = await generations();
      gauge.reset();
      for (const { generation, audit } of audited)
        if (audit) gauge.set({ generation }, new Date(audit.lastAt).getTime() / 1000);
    },
  });
}

type Audit = NonNullable<GenerationStatus['audit']>;
