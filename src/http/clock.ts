/** The injection token of the `Clock`: a present is asked of it, never of the machine. */
export const CLOCK = Symbol('Clock');
