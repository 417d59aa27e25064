/** Looks until `found` answers something, or fails: for effects of loops that run by themselves. */
export async function eventually<T>(look: () => Promise<T | null | undefined | false>): Promise<T> {
  for (let attempt = 0; attempt < 400; attempt++) {
    const found = await look();
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error('it has not come to pass within 10 s');
}
