/**
 * A place in the whole log: an ordered pair (PostgreSQL: transaction id and sequence number; EventStoreDB: commit
 * and prepare). Gaps are normal. Opaque to clients as the text `commit.prepare`. Never to be mixed up with a
 * revision, which counts the events of one stream.
 */
export interface Position {
  readonly commit: bigint;
  readonly prepare: bigint;
}

/** Before the first event. */
export const START: Position = { commit: 0n, prepare: 0n };

export function comparePositions(a: Position, b: Position): number {
  if (a.commit !== b.commit) return a.commit < b.commit ? -1 : 1;
  if (a.prepare !== b.prepare) return a.prepare < b.prepare ? -1 : 1;
  return 0;
}

export function formatPosition(position: Position): string {
  return `${position.commit}.${position.prepare}`;
}

/** The position a text stands for, or null when it is none (a client's token that was cut or made up). */
export function parsePosition(text: string): Position | null {
  const parts = /^(\d{1,20})\.(\d{1,20})$/.exec(text);
  return parts ? { commit: BigInt(parts[1]!), prepare: BigInt(parts[2]!) } : null;
}
