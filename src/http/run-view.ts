import { Inject, Injectable } from '@nestjs/common';
import type { Kysely } from 'kysely';
import { z } from 'zod';
import type { Principal, Scope } from '../auth/principal';
import { inScope, narrow } from '../auth/scope-sql';
import { presentRun, runRowSchema, storedRunOf } from '../classifier/run-row';
import type { RunRow, StoredRun } from '../classifier/run-row';
import { SnapshotReader } from '../db/snapshot-reader';
import type { SnapshotQueries, SnapshotRows } from '../db/snapshot-reader';
import type { Clock, Instant } from '../events/instant';
import { idSchema } from '../events/operation-run-events';
import { formatPosition, START } from '../events/position';
import { CLOCK } from './clock';
import { decodeCursor, encodeCursor } from './cursor';
import type { Keyset } from './cursor';
import { envelopeOf, pageSchema } from './envelope';
import type { Meta, PagedEnvelope } from './envelope';
import { Problem } from './problem';
import { readRequest } from './read-request';
import type { PageParameters, ReadParameters, ReadRequest } from './read-request';
import { filterOf, runHref, runsHref } from './run-filter';
import type { LinkContext, RunFilter } from './run-filter';
import type { ListedRun } from './run-filter-list';

/** What a path says of where to look. */
export const workspacePath = z.strictObject({ workspaceId: idSchema });
export const tenantPath = z.strictObject({ workspaceId: idSchema, tenantId: idSchema });
export type Place = z.infer<typeof workspacePath> & { readonly tenantId?: string };

/** What every list of runs holds, at least. */
export const runRows = z.object({ rows: z.array(runRowSchema.meta({ id: 'RunRow' })) });
export const runListAnswer = pagedAnswer(runRows);

/** The answer of a list whose `data` holds more than rows. */
export function pagedAnswer<T extends z.ZodType>(data: T) {
  return envelopeOf(data).extend({ page: pageSchema });
}

export interface Reading {
  readonly surface: string;
  readonly query: ReadParameters & Readonly<Record<string, unknown>>;
  readonly principal: Principal;
  readonly place?: Place;
}

/** Opens the read surfaces: one request, its scope and its links, over one snapshot. */
@Injectable()
export class RunViews {
  constructor(
    private readonly reader: SnapshotReader,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Throws Problem not_found when the path is out of the reader's scope, which is no different from not being. */
  open({ surface, query, principal, place }: Reading): RunView {
    const request = readRequest(query, principal, this.clock);
    const { from: _from, ...filter } = filterOf(query);
    const scope = place ? narrow(principal.scope, place.workspaceId, place.tenantId) : principal.scope;
    if (!scope) throw Problem.notFound();
    return new RunView(this.reader, {
      request,
      scope,
      principal,
      filter,
      place: placeFilter(place),
      links: { from: surface, asOf: query.asOf, generation: query.generation },
    });
  }
}

interface ViewParts {
  readonly request: ReadRequest;
  readonly scope: Scope;
  readonly principal: Principal;
  readonly filter: RunFilter;
  readonly place: RunFilter;
  readonly links: LinkContext;
}

/** How a view is read whose queries find their rows by key or in an index's own order: see SnapshotRequest. */
export const LOOKUP = { lookup: true };

/** One request's view of the read tables. */
export class RunView {
  constructor(
    private readonly reader: SnapshotReader,
    private readonly parts: ViewParts,
  ) {}

  get asOf(): Instant {
    return this.parts.request.asOf;
  }

  /** The reader's, narrowed to the path. */
  get scope(): Scope {
    return this.parts.scope;
  }

  /** The query's own filter, path not included. */
  get filter(): RunFilter {
    return this.parts.filter;
  }

  /** What the list of this view shows: the query's filter within the path. */
  get selection(): { readonly filter: RunFilter; readonly scope: Scope; readonly asOf: Instant } {
    return { filter: { ...this.filter, ...this.parts.place }, scope: this.scope, asOf: this.asOf };
  }

  /** Whether the list is all that the reader may see: its first rows are those of an index, whatever they are. */
  get isWhole(): boolean {
    return this.scope.kind === 'everything' && Object.keys(this.filter).length === 0;
  }

  get isSystem(): boolean {
    return this.parts.principal.plane === 'system';
  }

  get principal(): Principal {
    return this.parts.principal;
  }

  /** The list of the reader's plane under `filter` within the path; or `list`, another one of that plane. */
  href(filter: RunFilter, list = this.isSystem ? '/system/ops/runs' : '/admin/operations'): string {
    const { place, links } = this.parts;
    return runsHref(list, place === NOWHERE ? filter : { ...filter, ...place }, links);
  }

  /** The page of one run in the reader's plane. */
  runHref(runId: string): string {
    return runHref(this.isSystem ? '/system/ops/runs' : '/admin/operations', runId, this.parts.links);
  }

  present(run: StoredRun): RunRow {
    return presentRun(run, this.asOf, this.runHref(run.runId));
  }

  /** Where a list goes on; null at its beginning. Throws Problem when the cursor belongs to another list. */
  after({ cursor }: PageParameters): Keyset | null {
    return cursor === undefined ? null : decodeCursor(cursor, this.parts.links.from, this.selection.filter);
  }

  /**
   * All queries of the answer, in one snapshot. `lookup`: they find their rows by key, see SnapshotRequest. Throws
   * Problem when there is none to be had.
   */
  async read<Tables, Queries extends SnapshotQueries>(
    queriesOn: (db: Kysely<Tables>) => Queries,
    { lookup }: { readonly lookup: boolean } = { lookup: false },
  ): Promise<{ readonly meta: Meta; readonly rows: SnapshotRows<Queries> }> {
    const { generation, minPosition, asOf } = this.parts.request;
    const { scope } = this.parts.principal;
    // The token's own scope and not the path's: then all answers to one reader name the same position.
    const visible = scope.kind === 'everything' ? null : inScope(scope);
    const snapshot = await this.reader.read({ generation, visible, minPosition, lookup }, queriesOn);
    switch (snapshot.kind) {
      case 'rows':
        return { rows: snapshot.rows, meta: { asOf, ...snapshot.meta, filter: this.echo() } };
      case 'behind':
        throw Problem.positionNotReached(formatPosition(minPosition ?? START), snapshot.meta.position);
      case 'no_such_generation':
        throw Problem.notFound(`generation ${generation} does not exist, or cannot be read yet or any more`);
      case 'unreadable_generation':
        throw Problem.notReady(
          `generation ${snapshot.generation} was made by another version and has not what is read here; ask that version, or replay`,
        );
      case 'no_live_generation':
        throw Problem.notReady('the read side has no live generation yet');
    }
  }

  /** A page of runs in the order that `sortedBy` tells, which never is null in a list it sorts. */
  runPage(
    meta: Meta,
    rows: readonly ListedRun[],
    limit: number,
    sortedBy: (run: StoredRun) => Instant | null,
  ): PagedEnvelope<z.infer<typeof runRows>> {
    return this.page(
      meta,
      rows.map(({ run }) => storedRunOf(run)),
      limit,
      (run) => ({ sortAt: sortedBy(run)!, runId: run.runId }),
      (shown) => ({ rows: shown.map((run) => this.present(run)) }),
    );
  }

  /** A page out of rows that are more than `limit` where there is a next page. */
  page<Row, T>(
    meta: Meta,
    rows: readonly Row[],
    limit: number,
    placeOf: (row: Row) => Keyset,
    dataOf: (rows: readonly Row[]) => T,
  ): PagedEnvelope<T> {
    const shown = rows.slice(0, limit);
    const last = rows.length > limit ? shown.at(-1) : undefined;
    const nextCursor = last
      ? encodeCursor(placeOf(last), this.parts.links.from, this.selection.filter)
      : null;
    return { meta, data: dataOf(shown), page: { nextCursor, limit } };
  }

  private echo(): Meta['filter'] {
    const { from } = this.parts.request;
    // Of a filter's members only texts, lists of texts and `active` are present: `filterOf` leaves the absent out.
    return { ...this.filter, ...(from !== null && { from }) } as Meta['filter'];
  }
}

const NOWHERE: RunFilter = {};

function placeFilter(place: Place | undefined): RunFilter {
  if (!place) return NOWHERE;
  const { workspaceId, tenantId } = place;
  return { workspace: [workspaceId], ...(tenantId !== undefined && { tenant: [tenantId] }) };
}
