import { eventMetadataSchema, isRunStream, recordedAt, runEventSchemas } from './operation-run-events';
import type { RecordedRunEvent, RunEvent, RunEventType, StoredEvent } from './operation-run-events';
import { upcasters } from './upcasters';
import type { Upcaster } from './upcasters';

/** A stored event that no schema of this binary reads. Its stream is parked; nothing of it is dropped. */
export class UnreadableEventError extends Error {
  override readonly name = 'UnreadableEventError';
}

/** Lifts and parses one stored event. Throws UnreadableEventError naming stream, revision and the field at fault. */
export function parseEvent(
  stored: StoredEvent,
  lifts: Readonly<Record<string, readonly Upcaster[]>> = upcasters,
): RecordedRunEvent {
  const place = `${stored.type} at revision ${stored.revision} of ${stored.streamId}`;
  if (!isRunStream(stored.streamId)) throw new UnreadableEventError(`not of an operation run: ${place}`);
  // Its own, or the type `toString` would be known and lifted by a method of every object.
  if (!Object.hasOwn(runEventSchemas, stored.type))
    throw new UnreadableEventError(`unknown event type: ${place}`);
  const lifted = (lifts[stored.type] ?? []).reduce((data, lift) => lift(data), stored.data);
  const data = runEventSchemas[stored.type as RunEventType].safeParse(lifted);
  if (!data.success) throw new UnreadableEventError(`unreadable ${place}: ${firstIssue(data.error)}`);
  const metadata = eventMetadataSchema.safeParse(stored.metadata);
  if (!metadata.success)
    throw new UnreadableEventError(`unreadable metadata of ${place}: ${firstIssue(metadata.error)}`);
  // The schema of `type` has just accepted `data`, so the pair is a RunEvent.
  const event = { type: stored.type, data: data.data } as RunEvent;
  const { eventId, streamId, revision, position } = stored;
  return recordedAt(event, { eventId, streamId, revision, position, metadata: metadata.data });
}

function firstIssue(error: { issues: readonly { path: PropertyKey[]; message: string }[] }): string {
  const issue = error.issues[0];
  return issue ? `${issue.path.join('.') || '(payload)'}: ${issue.message}` : 'no reason given';
}
