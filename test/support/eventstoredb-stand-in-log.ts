import { randomUUID } from 'node:crypto';

/** One record of `$all`, as the server's reads tell it. */
export interface LogRecord {
  readonly streamId: string;
  readonly revision: number;
  readonly id: string;
  readonly type: string;
  readonly contentType: string;
  readonly data: Uint8Array;
  readonly metadata: Uint8Array;
  /** 100 ns ticks since 1970, as the wire has it. */
  readonly created: string;
  /** Commit and prepare position at once: they are equal where no explicit transaction was used. */
  readonly position: bigint;
}

export type ProposedRecord = Pick<LogRecord, 'id' | 'type' | 'contentType' | 'data' | 'metadata'>;

export type Expected = bigint | 'any' | 'no_stream' | 'stream_exists';

export type AppendOutcome =
  | { readonly kind: 'written'; readonly revision: number; readonly position: bigint }
  | { readonly kind: 'wrong_version'; readonly current: number | 'no_stream' }
  | { readonly kind: 'deleted' }
  | { readonly kind: 'too_large' };

/** Where the mark of a deleted stream stands, as near as a number comes to it. */
const LAST_REVISION = Number(2n ** 63n - 1n);

/** Server 24.10: of one append, all events together. */
export const MAX_APPEND_BYTES = 1024 * 1024;

/**
 * What a single EventStoreDB node keeps on disk. It outlives the server object, so that a restart finds everything again.
 * Positions are byte offsets, so gaps between them are normal.
 */
export class StandInLog {
  private records: LogRecord[] = [];
  private readonly streams = new Map<string, LogRecord[]>();
  private readonly deleted = new Set<string>();
  private end = 0n;
  private readonly waiting = new Set<() => void>();

  constructor() {
    // A fresh node has written about itself before its first client comes.
    this.writeSystemEvents(2);
  }

  /** The server's rules of an explicit expected revision, a repeated append included. */
  append(streamId: string, expected: Expected, events: readonly ProposedRecord[]): AppendOutcome {
    const bytes = events.reduce(
      (sum, { data, metadata, type }) => sum + data.length + metadata.length + 2 * type.length,
      0,
    );
    if (bytes > MAX_APPEND_BYTES) return { kind: 'too_large' };
    if (this.deleted.has(streamId)) return { kind: 'deleted' };
    const stream = this.streams.get(streamId) ?? [];
    const last = stream.length - 1;
    const current = last < 0 ? 'no_stream' : last;
    if (expected === 'any' || (expected === 'stream_exists' && last >= 0))
      return this.write(streamId, events);
    if (expected === 'stream_exists') return { kind: 'wrong_version', current };
    const after = expected === 'no_stream' ? -1 : Number(expected);
    if (after === last) return this.write(streamId, events);
    const there = stream.slice(after + 1, after + 1 + events.length);
    const repeated = after < last && events.every(({ id }, nth) => there[nth]?.id === id);
    if (!repeated) return { kind: 'wrong_version', current };
    const original = there.at(-1)!;
    return { kind: 'written', revision: original.revision, position: original.position };
  }

  /** For good, as `tombstone` does: what was in it stays in `$all`, and the mark comes after it. */
  deleteStream(streamId: string): void {
    const stream = this.streams.get(streamId)!;
    const mark = { id: randomUUID(), type: '$streamDeleted', contentType: 'application/octet-stream' };
    this.write(streamId, [{ ...mark, data: new Uint8Array(), metadata: new Uint8Array() }]);
    // The record is in the log already, and the same one.
    Object.assign(stream.at(-1)!, { revision: LAST_REVISION });
    this.deleted.add(streamId);
  }

  isDeleted(streamId: string): boolean {
    return this.deleted.has(streamId);
  }

  private write(streamId: string, events: readonly ProposedRecord[]): AppendOutcome {
    const stream = this.streams.get(streamId) ?? [];
    this.streams.set(streamId, stream);
    for (const event of events) {
      const record: LogRecord = {
        ...event,
        streamId,
        revision: stream.length,
        created: String(BigInt(Date.now()) * 10_000n),
        position: this.end,
      };
      this.end += BigInt(100 + event.data.length + event.metadata.length);
      stream.push(record);
      this.records.push(record);
    }
    for (const wake of [...this.waiting]) wake();
    const last = stream.at(-1)!;
    return { kind: 'written', revision: last.revision, position: last.position };
  }

  /** What the server writes by itself: statistics every half a minute, links of its projections. */
  writeSystemEvents(count: number): void {
    const event = () => ({
      id: randomUUID(),
      type: '$statsCollected',
      contentType: 'application/json',
      data: Buffer.from('{}'),
      metadata: new Uint8Array(),
    });
    this.write('$stats-127.0.0.1:2113', Array.from({ length: count }, event));
  }

  stream(streamId: string): readonly LogRecord[] | undefined {
    return this.streams.get(streamId);
  }

  get length(): number {
    return this.records.length;
  }

  at(index: number): LogRecord | undefined {
    return this.records[index];
  }

  /** The index of the first record at or after a position: the log's length when there is none. */
  /** Whether a position lies in the log and no record begins there: the real server fails where it is to read from it. */
  isInsideRecord(position: bigint): boolean {
    const next = this.records[this.indexFrom(position)];
    return position > 0n && next !== undefined && next.position !== position;
  }

  indexFrom(position: bigint): number {
    let [low, high] = [0, this.records.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.records[middle]!.position < position) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Restores the log to an earlier state: the newest records are gone, and their places will be used again. */
  truncate(records: number): void {
    for (const record of this.records.splice(this.records.length - records)) {
      const stream = this.streams.get(record.streamId)!;
      stream.pop();
      if (stream.length === 0) this.streams.delete(record.streamId);
      this.end = record.position < this.end ? record.position : this.end;
    }
  }

  /** Resolves at the next append, or when `stop` is called with the function it was given. */
  nextAppend(onWait: (stop: () => void) => void): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        this.waiting.delete(wake);
        resolve();
      };
      this.waiting.add(wake);
      onWait(wake);
    });
  }
}
