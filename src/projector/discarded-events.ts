import type { Pool } from 'pg';

/**
 * The events that operators have decided to leave out, in all generations: so few that all of them are held. What folds a run
 * steps over them, whether it projects, decides a command or imports, or the screen would show another run than it obeys.
 */
export class DiscardedEvents {
  private streams: ReadonlyMap<string, ReadonlySet<number>> = new Map();

  constructor(private readonly pool: Pick<Pool, 'query'>) {}

  /** The revisions left out of one stream, as of the last `refresh`. */
  readonly in = (streamId: string): ReadonlySet<number> => this.streams.get(streamId) ?? NONE;

  /** Events are only ever added. */
  async refresh(): Promise<this> {
    const { rows } = await this.pool.query<{ stream_id: string; revisions: number[] }>(
      'select stream_id, array_agg(revision) as revisions from opstruth.discarded_events group by stream_id',
    );
    this.streams = new Map(rows.map(({ stream_id, revisions }) => [stream_id, new Set(revisions)]));
    return this;
  }
}

const NONE: ReadonlySet<number> = new Set();
