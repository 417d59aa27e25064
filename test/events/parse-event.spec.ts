import { UnreadableEventError, parseEvent } from '../../src/events/parse-event';
import type { StoredEvent } from '../../src/events/operation-run-events';
import { START } from '../../src/events/position';
import { metadata } from '../domain/story';

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
