/** Statements that one connection is asked to keep prepared at most; more forms than this are sent unnamed. */
const MAX_NAMES = 300;

/**
 * Names for statements that are put together from parts, so that each form of them is planned once: a name means one
 * text for as long as the process lives.
 */
export class StatementNames {
  private readonly names = new Map<string, string>();

  constructor(private readonly prefix: string) {}

  of(text: string): { readonly name?: string } {
    let name = this.names.get(text);
    if (name === undefined && this.names.size < MAX_NAMES) {
      name = `${this.prefix} ${this.names.size + 1}`;
      this.names.set(text, name);
    }
    return name === undefined ? {} : { name };
  }
}
