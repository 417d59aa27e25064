/**
 * Lifts a payload of an older shape to the next newer one. Total on every shape ever written: a payload that is
 * new already passes through unchanged. Add one to the end of its event's list; never change a list's past.
 */
export type Upcaster = (data: unknown) => unknown;

export const upcasters: Readonly<Record<string, readonly Upcaster[]>> = {
  // Queued events written before imports and retries existed carry neither origin nor predecessor.
  OperationRunQueued: [withDefaults({ origin: null, predecessorRunId: null, summaryCounts: null })],
};

function withDefaults(defaults: Record<string, unknown>): Upcaster {
  return (data) => {
    if (typeof data !== 'object' || data === null) return data;
    return Object.keys(defaults).every((name) => name in data) ? data : { ...defaults, ...data };
  };
}
