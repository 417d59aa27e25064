/** PostgreSQL's `int` holds no larger one: neither an id nor a revision is beyond it. */
export const LARGEST_INT = 2 ** 31 - 1;
