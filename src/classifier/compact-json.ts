import { storableJson } from '../events/storable-json';

/**
 * The usual value of each member of `T`, undefined for those that have none. To be written as one literal that names
 * all of them: V8 clones such an object in no time, while one that grows member by member becomes a hash table, which
 * is ten times as large and a hundred times as slow to make.
 */
export type Usual<T> = { readonly [Name in keyof Required<T>]: T[Name] | undefined };

/**
 * The JSON of an object without the members that have their usual value. What tables keep of a run is mostly nulls and
 * empty lists; leaving those out halves what is written, logged and read back. `restored` puts them in again.
 */
export function compactJson<T extends object>(whole: T, usual: Usual<T>): string {
  const kept: { [Name in keyof T]?: T[Name] | undefined } = { ...whole };
  // JSON leaves out what is undefined.
  for (const name in usual) if (isUsual(kept[name], usual[name])) kept[name] = undefined;
  // An older version may have written an event with half a character in it: a row must be readable all the same.
  return storableJson(JSON.stringify(kept));
}

/** The whole of what `compactJson` kept, from its parsed JSON. */
export function restored<T extends object, U extends Usual<T>>(kept: Compact<T, U>, usual: U): T {
  const whole: Record<string, unknown> = { ...usual };
  const members: Readonly<Record<string, unknown>> = kept;
  for (const name in members) whole[name] = members[name];
  // What is missing in `kept` has its usual value: that is how it was made.
  return whole as T;
}

/** `T` as JSON keeps it: members with a usual value may be missing. */
export type Compact<T, U extends Usual<T>> = {
  readonly [Name in keyof T as U[Name] extends undefined ? Name : never]: T[Name];
} & { readonly [Name in keyof T as U[Name] extends undefined ? never : Name]?: T[Name] };

function isUsual(value: unknown, usual: unknown): boolean {
  if (value === usual) return true;
  if (typeof usual !== 'object' || usual === null || typeof value !== 'object' || value === null)
    return false;
  return Object.keys(usual).length === 0 && Object.keys(value).length === 0;
}
