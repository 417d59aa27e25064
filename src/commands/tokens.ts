/** The injection token of the `EventStore` that commands write to. */
export const EVENT_STORE = Symbol('EventStore');

/** The injection token of `() => Judge`: the verdicts of the live generation's policy, asked anew for each decision. */
export const JUDGE = Symbol('Judge');

/** The injection token of `Discards`: which events of a stream operators have decided to leave out. */
export const DISCARDS = Symbol('Discards');

/** The injection token of `() => string`: an id that nobody has used before. */
export const NEW_ID = Symbol('NewId');

/** The injection token of the `pg` pool that holds the idempotency keys. */
export const COMMANDS_POOL = Symbol('CommandsPool');
