import { Injectable } from '@nestjs/common';
import type { OnApplicationShutdown } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';

const DURATION_BUCKETS_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** One app's metrics. Its own registry: two apps in one process (tests) do not add up. */
@Injectable()
export class Metrics implements OnApplicationShutdown {
  readonly registry = new Registry();
  private readonly requests = new Histogram({
    name: 'http_request_duration_seconds',
    help: 'How long requests took to answer, by route pattern',
    labelNames: ['method', 'route', 'status'],
    buckets: DURATION_BUCKETS_SECONDS,
    registers: [this.registry],
  });

  constructor() {
    collectDefaultMetrics({ register: this.registry });
  }

  /** A value that goes up and down; with `collect` it is asked for at each scrape. Name the unit in the name. */
  gauge<L extends string = never>(name: string, help: string, options: GaugeOptions<L> = {}): Gauge<L> {
    const { labelNames = [], collect } = options;
    return new Gauge<L>({
      name,
      help,
      labelNames,
      registers: [this.registry],
      ...(collect && {
        async collect() {
          try {
            await collect(this);
          } catch {
            // One part that cannot say its number must not take every other metric along.
          }
        },
      }),
    });
  }

  /** A value that only goes up; its name ends in `_total`. */
  counter<L extends string = never>(name: string, help: string, labelNames: readonly L[] = []): Counter<L> {
    return new Counter<L>({ name, help, labelNames, registers: [this.registry] });
  }

  histogram<L extends string = never>(
    name: string,
    help: string,
    { labelNames = [], buckets = DURATION_BUCKETS_SECONDS }: HistogramOptions<L> = {},
  ): Histogram<L> {
    return new Histogram<L>({ name, help, labelNames, buckets: [...buckets], registers: [this.registry] });
  }

  /** Labelled by the route's pattern, as paths are without number. */
  observeRequest(request: FastifyRequest, reply: FastifyReply): void {
    const route = request.is404 ? 'unmatched' : (request.routeOptions.url ?? 'unmatched');
    const labels = { method: request.method, route, status: String(reply.statusCode) };
    this.requests.observe(labels, reply.elapsedTime / 1000);
  }

  onApplicationShutdown(): void {
    this.registry.clear();
  }
}

interface GaugeOptions<L extends string> {
  readonly labelNames?: readonly L[];
  /** Called at each scrape. A rejection leaves the last value, and the scrape goes on. */
  readonly collect?: (gauge: Gauge<L>) => void | Promise<void>;
}

interface HistogramOptions<L extends string> {
  readonly labelNames?: readonly L[];
  readonly buckets?: readonly number[];
}
