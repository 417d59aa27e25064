import { counted } from '../tools/counted';
import { projectionStatus } from '../projector/projection-status';
import type { ProjectionStatus } from '../projector/projection-status';
import type { Output } from './output';
import { table } from './output';
import { withRuntime } from './with-runtime';

const RATE_WINDOW_MS = 1_000;

/** Where the log ends, how far each generation has come, at what rate, what is parked, and who projects. */
export async function status(output: Output): Promise<void> {
  // Between the versions is when positions and lag are wanted most.
  await withRuntime({ migrate: false, anySurfaces: true }, async ({ pool, store, clock }) => {
    const before = await projectionStatus(pool, store, clock);
    await new Promise((resolve) => setTimeout(resolve, RATE_WINDOW_MS));
    const now = await projectionStatus(pool, store, clock);
    const rated = {
      ...now,
      generations: now.generations.map((generation) => ({
        ...generation,
        eventsPerSecond:
          ((generation.eventsApplied - appliedIn(before, generation.generation)) * 1000) / RATE_WINDOW_MS,
      })),
    };
    output.result(rated, (value) => [
      `log ${value.logIdentity}, tail ${value.tail}`,
      value.lease
        ? `projector: ${value.lease.holder} (lease until ${value.lease.expiresAt})`
        : 'projector: none is running',
      '',
      ...table(
        [
          'generation',
          'state',
          'classifier',
          'policy',
          'position',
          'events',
          'events/s',
          'lag events',
          'lag s',
          'parked',
          'audit',
        ],
        value.generations.map((one) => [
          String(one.generation),
          one.state,
          `v${one.classifierVersion}`,
          `v${one.policyVersion}`,
          one.position,
          one.eventsApplied,
          one.eventsPerSecond,
          one.lag.exact ? one.lag.events : `${one.lag.events}+`,
          Math.round(one.lag.seconds * 10) / 10,
          one.parked.streams === 0
            ? '-'
            : `${counted(one.parked.streams, 'stream')}, ${counted(one.parked.events, 'event')}`,
          one.audit ? auditWords(one.audit) : '-',
        ]),
      ),
    ]);
  });
}

type Audit = NonNullable<ProjectionStatus['generations'][number]['audit']>;

/** A finding stays, whatever later looks find: they may have been at other runs. */
function auditWords({ runs, differences, runsTotal, differencesTotal, foundAt }: Audit): string {
  if (differencesTotal === 0) return `no difference in ${counted(runsTotal, 'run')}`;
  // An audit of the surfaces folds no run anew.
  const where = runs === 0 ? '' : ` in ${counted(runs, 'run')}`;
  return `wrong rows found ${foundAt ?? ''}, the last look: ${counted(differences, 'difference')}${where}`;
}

function appliedIn(status: ProjectionStatus, generation: number): number {
  return status.generations.find((one) => one.generation === generation)?.eventsApplied ?? 0;
}
