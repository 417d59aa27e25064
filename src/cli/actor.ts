import { userInfo } from 'node:os';

/**
 * Who acts, as kept with what was done: OPSTRUTH_ACTOR, else the account that this process runs under. Not USER, which
 * anybody may set and which cron and containers leave out.
 */
export function actorName(): string {
  const named = process.env.OPSTRUTH_ACTOR?.trim();
  if (named) return named;
  try {
    return userInfo().username;
  } catch {
    // In a container the account often has a number and no name.
    return `uid ${process.getuid?.() ?? 'unknown'}`;
  }
}
