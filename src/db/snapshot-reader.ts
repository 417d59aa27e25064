import type { Expression, Kysely, RawBuilder, SqlBool } from 'kysely';
import { sql } from 'kysely';
import type { Pool, QueryResultRow } from 'pg';
import { comparePositions } from '../events/position';
import type { Position } from '../events/position';
import { createSlots } from '../tools/slots';
import { kyselyOn } from './database';
import { isColumnMissing, isSchemaGone } from './schema-gone';
import { READABLE, findGeneration, findLiveGeneration } from './snapshot-generation';
import type { ReadGeneration } from './snapshot-generation';
import { StatementNames } from './statement-names';

/** Named queries on the tables of one generation; their names become the answer's. */
export type SnapshotQueries = Readonly<Record<string, Expression<unknown>>>;

/** The rows of each query, as JSON has them: instants are texts, counts are numbers. */
export type SnapshotRows<Queries extends SnapshotQueries> = {
  readonly [Name in keyof Queries]: Queries[Name] extends Expression<infer Row> ? Row[] : never;
};

export interface SnapshotMeta {
  readonly generation: number;
  readonly classifierVersion: number;
  readonly policyVersion: number;
  /** `commit.prepare`: how far the rows have come, as far as `visible` goes. */
  readonly position: string;
}

export interface SnapshotRequest {
  /** Null: the live generation, whichever that is when the query runs. */
  readonly generation: number | null;
  /**
   * Which workspaces and tenants may be told of, as a condition on `workspace_id` and `tenant_id`; null for all. It
   * decides on `position` only: the queries narrow their rows themselves.
   */
  readonly visible: Expression<SqlBool> | null;
  /** The rows must have come at least this far; waited for, within bounds. */
  readonly minPosition: Position | null;
  /**
   * The queries find their rows by the keys of their tables, or at the beginning of an index's own order, whatever the
   * values, and are asked again and again: they are planned once and not each time.
   */
  readonly lookup?: boolean;
  readonly signal?: AbortSignal;
}

/** Everything but `rows` is an answer of nothing: the generation is not there, or not there yet. */
export type Snapshot<Queries extends SnapshotQueries> =
  | { readonly kind: 'rows'; readonly meta: SnapshotMeta; readonly rows: SnapshotRows<Queries> }
  | { readonly kind: 'no_live_generation' }
  /** Unknown, retired or failed. */
  | { readonly kind: 'no_such_generation' }
  /** Its tables are those of another version of the surfaces, and lack what was asked for. */
  | { readonly kind: 'unreadable_generation'; readonly generation: number }
  /** `minPosition` was waited for in vain. */
  | { readonly kind: 'behind'; readonly meta: SnapshotMeta };

export interface SnapshotReaderOptions {
  /** Ends early when the projector may have moved on; without it the reader polls. */
  readonly wakeUp?: {
    /** Taken before a look and given to `wait`, so that a wake-up in between is not lost. */
    mark(): number;
    wait(signal: AbortSignal, timeoutMs: number, since: number): Promise<void>;
    /** How far a generation is known to have come at least: before that there is no use in looking. */
    reached?(generation: number): Position | null;
  };
  /** Plans by key (see database.ts), for the reads that are look-ups. (Default: none is) */
  readonly lookups?: Pool;
  /** How long `minPosition` is waited for, and a live generation that stays the same for one read. (Default: 5000) */
  readonly maxWaitMs?: number;
  /** The longest pause between two looks while waiting. (Default: 50 by polling, 500 with a wake-up) */
  readonly pollMs?: number;
}

/**
 * Answers all queries of one response in one SQL statement: one snapshot, one round trip, one generation whole. A
 * query that meets a switch of generations is asked again of the new one.
 */
export class SnapshotReader {
  private live: ReadGeneration | null = null;
  private readonly pollMs: number;
  /** Of look-ups, for each generation that has been live: their texts name its schema. */
  private readonly names = new Map<number, StatementNames>();

  /** Composes; what it executes by itself is little. */
  private readonly db: Kysely<unknown>;
  private readonly inSlot: Slots;
  private readonly inLookupSlot: Slots;

  constructor(
    private readonly pool: Pool,
    private readonly options: SnapshotReaderOptions = {},
  ) {
    this.db = kyselyOn(pool);
    this.inSlot = slotsOf(pool);
    this.inLookupSlot = slotsOf(options.lookups ?? pool);
    this.pollMs = options.pollMs ?? (options.wakeUp ? 500 : 50);
  }

  /** `queriesOn` gets a `db` bound to the generation's schema, and is called again when that one has gone. */
  async read<Tables, Queries extends SnapshotQueries>(
    request: SnapshotRequest,
    queriesOn: (db: Kysely<Tables>) => Queries,
  ): Promise<Snapshot<Queries>> {
    const deadline = Date.now() + (this.options.maxWaitMs ?? 5_000);
    let lookBy = Date.now() + this.pollMs;
    for (;;) {
      const generation = await this.generationOf(request.generation);
      if (!generation)
        return { kind: request.generation === null ? 'no_live_generation' : 'no_such_generation' };
      const since = this.options.wakeUp?.mark() ?? 0;
      const untilLookMs = Math.min(lookBy, deadline) - Date.now();
      if (untilLookMs > 0 && this.isKnownToBeBehind(generation, request)) {
        await this.pause(untilLookMs, since, request.signal);
        continue;
      }
      const found = await this.attempt(generation, request, queriesOn);
      lookBy = Date.now() + this.pollMs;
      const leftMs = deadline - Date.now();
      if (found.kind === 'moved' || found.kind === 'gone') {
        if (leftMs <= 0) throw new Error('each time that it was read, the live generation had just changed');
        this.live = null;
        const next = await this.generationOf(request.generation);
        if (found.kind === 'gone' && next?.id === generation.id)
          return { kind: 'unreadable_generation', generation: generation.id };
        continue;
      }
      if (found.kind !== 'behind' || leftMs <= 0) return found;
      await this.pause(leftMs, since, request.signal);
    }
  }

  private async generationOf(id: number | null): Promise<ReadGeneration | null> {
    if (id !== null) return findGeneration(this.db, id);
    return (this.live ??= await findLiveGeneration(this.db));
  }

  private isKnownToBeBehind({ id }: ReadGeneration, { minPosition }: SnapshotRequest): boolean {
    const reached = minPosition && this.options.wakeUp?.reached?.(id);
    return !!reached && comparePositions(reached, minPosition) < 0;
  }

  /** `moved`: the generation is no longer what it was. `gone`: what was to be read of it is not there. */
  private async attempt<Tables, Queries extends SnapshotQueries>(
    generation: ReadGeneration,
    { generation: explicit, visible, minPosition, lookup = false }: SnapshotRequest,
    queriesOn: (db: Kysely<Tables>) => Queries,
  ): Promise<Extract<Snapshot<Queries>, { kind: 'rows' | 'behind' }> | { kind: 'moved' } | { kind: 'gone' }> {
    // The caller names the tables it reads; that every generation has them is what makes a surface.
    const db = this.db.withSchema(generation.schema) as unknown as Kysely<Tables>;
    const queries = Object.entries(queriesOn(db));
    const reached = hasReached(minPosition);
    // PostgreSQL evaluates a subquery only where it is needed: not in a generation that has gone, nor too early.
    const answers = queries.map(
      ([, query], index) =>
        sql`case when ${reached} then (select coalesce(json_agg(q), '[]'::json) from (${query}) q) end as ${sql.ref(`q${index}`)}`,
    );
    const state = explicit === null ? sql`g.state = 'live'` : sql`g.state in ${READABLE}`;
    const statement = sql<Record<string, unknown> & { position: string; reached: boolean }>`
      select ${positionIn(generation.schema, visible)} as position, ${sql.join([sql`${reached} as reached`, ...answers])}
      from opstruth.generations g where g.id = ${generation.id} and ${state}`;
    const answer = await this.execute(
      statement,
      lookup && explicit === null ? this.namesOf(generation) : null,
    ).catch((error: unknown) => {
      if (isSchemaGone(error) || isColumnMissing(error)) return null;
      throw error;
    });
    if (!answer) return { kind: 'gone' };
    const row = answer.rows[0];
    if (!row) return { kind: 'moved' };
    const { id, classifierVersion, policyVersion } = generation;
    const meta = { generation: id, classifierVersion, policyVersion, position: row.position };
    if (!row.reached) return { kind: 'behind', meta };
    // One column per query, in the order of `queries`, each the JSON of that query's own rows.
    const answered = Object.fromEntries(queries.map(([name], index) => [name, row[`q${index}`]]));
    return { kind: 'rows', meta, rows: answered as SnapshotRows<Queries> };
  }

  private async execute<Row extends QueryResultRow>(
    statement: RawBuilder<Row>,
    names: StatementNames | null,
  ): Promise<{ rows: Row[] }> {
    const { lookups } = this.options;
    const { sql: text, parameters } = statement.compile(this.db);
    const values = [...parameters];
    // Not by Kysely, whose connections are under no limit of time.
    return names && lookups
      ? this.inLookupSlot(() => lookups.query<Row>({ ...names.of(text), text, values }))
      : this.inSlot(() => this.pool.query<Row>({ text, values }));
  }

  private namesOf({ id }: ReadGeneration): StatementNames {
    let names = this.names.get(id);
    if (!names) this.names.set(id, (names = new StatementNames(`opstruth look-up ${id}`)));
    return names;
  }

  private async pause(leftMs: number, since: number, signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    const { wakeUp } = this.options;
    const pauseMs = Math.min(leftMs, this.pollMs);
    if (wakeUp) await wakeUp.wait(signal ?? new AbortController().signal, pauseMs, since);
    else await new Promise((resolve) => setTimeout(resolve, pauseMs));
    signal?.throwIfAborted();
  }
}

type Slots = ReturnType<typeof createSlots>;

/** Readers that wait for a table which somebody has locked leave some connections to commands, which need none of it. */
const LEFT_TO_COMMANDS = 3;
const SLOT_WAIT_MS = 10_000;

function slotsOf({ options: { max } }: Pool): Slots {
  return createSlots(Math.max(1, max - LEFT_TO_COMMANDS), SLOT_WAIT_MS);
}

function hasReached(minPosition: Position | null): RawBuilder<boolean> {
  if (!minPosition) return sql<boolean>`true`;
  const { commit, prepare } = minPosition;
  return sql<boolean>`(g.checkpoint_commit, g.checkpoint_prepare) >= (${String(commit)}::numeric, ${String(prepare)}::numeric)`;
}

/** Whoever sees everything learns the checkpoint; others the newest event they may see, so that no other shows. */
function positionIn(schema: string, visible: Expression<SqlBool> | null): RawBuilder<string> {
  if (!visible) return sql<string>`g.checkpoint_commit || '.' || g.checkpoint_prepare`;
  return sql<string>`coalesce((select commit || '.' || prepare from ${sql.table(`${schema}.scope_positions`)}
    where ${visible} order by commit desc, prepare desc limit 1), '0.0')`;
}
