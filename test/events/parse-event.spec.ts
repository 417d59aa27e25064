import { UnreadableEventError, parseEvent } from '../../src/events/parse-event';
import type { StoredEvent } from '../../src/events/operation-run-events';
import { START } from '../../src/events/position';
import { metadata } from '../domain/story';
import { queuedData } from '../support/queue-command';

const stored = (type: string, data: unknown): StoredEvent => ({
  eventId: 'e',
  streamId: 'operation_run-r',
  revision: 0,
  position: START,
  recordedAt: '2026-01-01T00:00:00.000Z',
  type,
  data,
  metadata,
});

it.each(['toString', 'constructor', '__proto__', 'hasOwnProperty', 'OperationRunExploded'])(
  'took the type %s for one of its own, as every object has a member of that name',
  (type) => {
    expect(() => parseEvent(stored(type, {}))).toThrow(UnreadableEventError);
    expect(() => parseEvent(stored(type, {}))).toThrow(`unknown event type: ${type} at revision 0`);
  },
);

it.each([null, 7, 'text', []])('refuses the payload %j as unreadable', (data) => {
  expect(() => parseEvent(stored('OperationRunStarted', data))).toThrow(UnreadableEventError);
  expect(() => parseEvent(stored('OperationRunQueued', data))).toThrow(UnreadableEventError);
});

it.each(['banana', '2026-02-30T00:00:00.000Z', '2026-01-01T00:00:00.000', '0001-01-01T00:00:00.000Z'])(
  'let an event of the time %j pass, which commands then were decided on and no surface could show',
  (occurredAt) => {
    expect(() => parseEvent(stored('OperationRunStarted', { occurredAt }))).toThrow(UnreadableEventError);
  },
);

it.each(['2026-01-31T00:00:00.000Z', '2026-01-01T00:00:00.123456Z', '2026-01-01T01:00:00+01:00'])(
  'takes the time %j',
  (occurredAt) =>
    expect(parseEvent(stored('OperationRunStarted', { occurredAt })).data.occurredAt).toBe(occurredAt),
);

it.each([
  ['workspaceId', 'w\u0000', 'must not contain control characters'],
  ['tenantId', 't\u0001', 'must not contain control characters'],
  ['tenantId', '\ud800', 'must not contain half a surrogate pair'],
  ['type', 'a\u0000b', 'must not contain control characters'],
  ['type', 'a'.repeat(201), 'Too big'],
  ['initiator', '\u0000', 'must not contain control characters'],
])(
  'let a queued run pass whose %s no table can keep, and which stopped every projector',
  (member, value, why) => {
    const data = queuedData('2026-01-01T00:00:00.000Z');
    expect(parseEvent(stored('OperationRunQueued', data)).type).toBe('OperationRunQueued');
    expect(() => parseEvent(stored('OperationRunQueued', { ...data, [member]: value }))).toThrow(
      new RegExp(`unreadable OperationRunQueued at revision 0 .*: ${member}: ${why}`),
    );
  },
);

it.each(['operation_run-', 'operation_run-a\u0001', `operation_run-${'a'.repeat(201)}`])(
  'took %j for the stream of a run',
  (streamId) => {
    const event = { ...stored('OperationRunStarted', { occurredAt: '2026-01-01T00:00:00.000Z' }), streamId };
    expect(() => parseEvent(event)).toThrow('not of an operation run');
  },
);
