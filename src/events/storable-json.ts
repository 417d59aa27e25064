/**
 * What PostgreSQL does not take into every type, as JSON.stringify escapes it: U+0000 and half a surrogate pair. A `json`
 * column keeps it, and then refuses to read anything out of the whole document.
 */
const UNSTORABLE = /(?<!\\)((?:\\\\)*)\\u(?:0000|d[89a-f][0-9a-f]{2})/g;

export const UNSTORABLE_WORDS = 'U+0000 or half a surrogate pair';

/** The JSON text, made by JSON.stringify, with U+FFFD in the place of what cannot be stored. */
export function storableJson(json: string): string {
  return json.includes('\\u') ? json.replace(UNSTORABLE, '$1\\ufffd') : json;
}

/** Whether a JSON text, made by JSON.stringify, holds nothing that cannot be stored, in a key or in a value. */
export function isStorableJson(json: string): boolean {
  return storableJson(json) === json;
}

/** A text with U+FFFD in the place of what cannot be stored. */
export function storableText(text: string): string {
  // oxlint-disable-next-line no-control-regex
  return text.replace(/\u0000|\p{Cs}/gu, '\ufffd');
}
