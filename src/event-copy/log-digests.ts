import { createHash } from 'node:crypto';
import type { StoredEvent } from '../events/operation-run-events';
import { createDigestTable } from '../tools/digest-table';
import { EventCopyError } from './copy-error';

/** How many events of a stream were taken, and a digest of 128 bits over them in their order. */
export type StreamDigest = readonly [events: number, number, number, number, number];

/** What a log holds, stream by stream, at about a hundred bytes a stream. */
export interface LogDigests {
  readonly events: number;
  readonly streams: number;
  get(streamId: string): StreamDigest | undefined;
  /** Takes the next event of its stream. Throws EventCopyError when it is another one. */
  add(event: StoredEvent): StreamDigest;
  /** One text for all streams together, the same whatever the order between them. */
  ofAllStreams(): string;
  /** One text for the order of all events. */
  ofOrder(): string;
}

const NONE: StreamDigest = [0, 0, 0, 0, 0];

/** `log` is how errors name the log that the events come from. */
export function createLogDigests(log: string): LogDigests {
  const table = createDigestTable<StreamDigest>(NONE.length);
  const all = new Uint32Array(NONE.length - 1);
  const order = createHash('sha256');
  let events = 0;
  let streams = 0;
  return {
    get events() {
      return events;
    },
    get streams() {
      return streams;
    },
    get: (streamId) => table.get(streamId),
    add(event) {
      const before = table.get(event.streamId) ?? NONE;
      if (event.revision !== before[0]) throw gap(log, event, before[0]);
      const after = extended(before, event);
      table.set(event.streamId, after);
      for (const at of all.keys()) all[at]! ^= before[at + 1]! ^ after[at + 1]!;
      order.update(event.eventId);
      events += 1;
      if (before === NONE) streams += 1;
      return after;
    },
    ofAllStreams: () => [...all].map((word) => word.toString(16).padStart(8, '0')).join(''),
    ofOrder: () => order.copy().digest('hex'),
  };
}

export function sameDigest(a: StreamDigest, b: StreamDigest): boolean {
  return a.every((number, at) => number === b[at]);
}

/** Everything that a copy has to keep, but for the time of recording and the position, which the stores give. */
function extended(before: StreamDigest, event: StoredEvent): StreamDigest {
  const { streamId, revision, eventId, type, data, metadata } = event;
  const digest = createHash('sha256')
    .update(Uint32Array.from(before))
    .update(JSON.stringify([streamId, revision, eventId, type, data, metadata]))
    .digest();
  return [
    before[0] + 1,
    digest.readUInt32LE(0),
    digest.readUInt32LE(4),
    digest.readUInt32LE(8),
    digest.readUInt32LE(12),
  ];
}

function gap(log: string, { streamId, revision }: StoredEvent, expected: number): EventCopyError {
  return new EventCopyError(
    `stream ${streamId} of ${log}: revision ${revision} comes where ${expected} should be: events were truncated, ` +
      'scavenged or deleted. A log with gaps cannot be copied with its revisions',
  );
}
