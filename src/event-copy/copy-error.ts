/** A copy that must not go on, or that came out wrong. The message names log, stream and what to do. */
export class EventCopyError extends Error {
  override readonly name = 'EventCopyError';
}
