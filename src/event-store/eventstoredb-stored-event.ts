import type { RecordedEvent } from '@eventstore/db-client';
import type { StoredEvent } from '../events/operation-run-events';
import { EventStoreRefusedError } from './eventstoredb-errors';

/** What a server that knows no position writes in its place: -1 as an unsigned number. */
const NO_POSITION = 2n ** 64n - 1n;

/** The port's event from the client's. Payloads are what the JSON says, not yet trusted. */
export function storedEvent(event: RecordedEvent): StoredEvent {
  const { streamId, revision, position, id, type, data, metadata, created } = event;
  if (!position || position.commit === NO_POSITION)
    throw new EventStoreRefusedError(
      `revision ${revision} of ${streamId} came without its position: this server is older than 24.10`,
    );
  return {
    streamId,
    revision: Number(revision),
    position,
    eventId: id.toLowerCase(),
    type,
    data,
    metadata,
    recordedAt: created.toISOString(),
  };
}

export function isNoPosition(commit: bigint): boolean {
  return commit === NO_POSITION;
}
