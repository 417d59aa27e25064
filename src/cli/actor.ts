import { userInfo } from 'node:os';
import { ConfigError } from '../config';
import { idSchema } from '../events/operation-run-events';
import { inputWords } from '../http/input-words';

/**
 * Who acts, as kept with what was done: OPSTRUTH_ACTOR, else the account that this process runs under. Not USER, which
 * anybody may set and which cron and containers leave out. Throws ConfigError for a name that is none.
 */
export function actorName(): string {
  const named = process.env.OPSTRUTH_ACTOR?.trim();
  if (named) {
    const checked = idSchema.safeParse(named, { error: inputWords });
    if (checked.success) return checked.data;
    throw new ConfigError(checked.error.issues.map(({ message }) => `OPSTRUTH_ACTOR: ${message}`));
  }
  try {
    return userInfo().username;
  } catch {
    // In a container the account often has a number and no name.
    return `uid ${process.getuid?.() ?? 'unknown'}`;
  }
}
