import type { SubscriptionObserver } from '../event-store/eventstoredb-subscription';
import type { Position } from '../events/position';
import type { Metrics } from '../observability/metrics';

const BATCH_EVENTS = [1, 5, 10, 50, 100, 500, 1_000, 2_000, 5_000];

/**
 * The figures of this process's subscriptions to EventStoreDB. A process follows once per generation: what has no sum is
 * told of the one that is farthest behind. `tail` is asked at each scrape, so that the gap is true while nothing comes.
 */
export function observeSubscriptions(metrics: Metrics, tail: () => Promise<Position>): SubscriptionObserver {
  const open = new Set<{ checkpoint: bigint; buffered: number }>();
  const farthestBehind = () => {
    const checkpoints = [...open].map(({ checkpoint }) => checkpoint);
    return checkpoints.length > 0 ? checkpoints.reduce((least, one) => (one < least ? one : least)) : null;
  };
  metrics.gauge('opstruth_subscriptions', 'Subscriptions to the event store that this process holds', {
    collect: (gauge) => gauge.set(open.size),
  });
  metrics.gauge(
    'opstruth_subscription_checkpoint_commit_position',
    'Up to which commit position of the log this process has handled events',
    {
      collect(gauge) {
        const checkpoint = farthestBehind();
        if (checkpoint !== null) gauge.set(Number(checkpoint));
      },
    },
  );
  metrics.gauge(
    'opstruth_subscription_tail_gap_bytes',
    'From there to the last run event, in bytes of the log',
    {
      async collect(gauge) {
        const { commit } = await tail();
        const checkpoint = farthestBehind() ?? commit;
        gauge.set(commit > checkpoint ? Number(commit - checkpoint) : 0);
      },
    },
  );
  metrics.gauge('opstruth_subscription_buffered_events', 'Events that have arrived and wait to be handled', {
    collect: (gauge) => gauge.set([...open].reduce((sum, { buffered }) => sum + buffered, 0)),
  });
  const batchEvents = metrics.histogram('opstruth_subscription_batch_events', 'Events of a batch', {
    buckets: BATCH_EVENTS,
  });
  const batchSeconds = metrics.histogram(
    'opstruth_subscription_batch_duration_seconds',
    'From handing out a batch until the next is asked for',
  );
  const restarts = metrics.counter(
    'opstruth_subscription_restarts_total',
    'Subscriptions that ended and were taken up again, by type of error',
    ['error'],
  );

  return (from) => {
    const one = { checkpoint: from.commit, buffered: 0 };
    open.add(one);
    return {
      restarted(error) {
        one.buffered = 0;
        restarts.inc({ error });
      },
      batch(events, buffered) {
        one.buffered = events + buffered;
        batchEvents.observe(events);
      },
      handled(upTo, batchMs) {
        one.checkpoint = upTo.commit;
        one.buffered = 0;
        batchSeconds.observe(batchMs / 1000);
      },
      ended: () => open.delete(one),
    };
  };
}
