/**
 * The JSON of an object without the members that have their usual value. What tables keep of a run is mostly nulls and
 * empty lists; leaving those out halves what is written, logged and read back. `restored` puts them in again.
 */
export function compactJson<T extends object>(whole: T, usual: Partial<T>): string {
  const kept: { [Name in keyof T]?: T[Name] | undefined } = { ...whole };
  // JSON leaves out what is undefined.
  for (const name in usual) if (isUsual(kept[name], usual[name])) kept[name] = undefined;
  return JSON.stringify(kept);
}

/** The whole of what `compactJson` kept, from its parsed JSON. */
export function restored<T extends object, U extends Partial<T>>(kept: Compact<T, U>, usual: U): T {
  // What is missing in `kept` has its usual value: that is how it was made.
  return { ...usual, ...kept } as unknown as T;
}

/** `T` as JSON keeps it: members with a usual value may be missing. */
export type Compact<T, U> = Omit<T, keyof U> & { readonly [Name in keyof T & keyof U]?: T[Name] };

function isUsual(value: unknown, usual: unknown): boolean {
  if (value === usual) return true;
  if (typeof usual !== 'object' || usual === null || typeof value !== 'object' || value === null)
    return false;
  return Object.keys(usual).length === 0 && Object.keys(value).length === 0;
}
