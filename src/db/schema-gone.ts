/** A generation's schema is dropped when it is ended: before a statement arrives, or while it waits for a lock. */
export function isSchemaGone(error: unknown): boolean {
  if (!(error instanceof Error) || !('code' in error)) return false;
  return (
    error.code === '42P01' ||
    error.code === '3F000' ||
    (error.code === 'XX000' && error.message.includes('could not open relation'))
  );
}

/** As in a generation that another version of the surfaces has made. */
export function isColumnMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === '42703';
}
