/** `1 run`, `2,000 runs`. `many` is for where an s is not enough: `counted(n, 'stream is', 'streams are')`. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString('en')} ${count === 1 ? one : many}`;
}
