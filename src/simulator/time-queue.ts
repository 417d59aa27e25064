/** What is to come, earliest first; equal times leave in the order they came in. A binary heap. */
export class TimeQueue<T> {
  private readonly heap: { time: number; order: number; value: T }[] = [];
  private pushed = 0;

  push(time: number, value: T): void {
    const { heap } = this;
    heap.push({ time, order: this.pushed++, value });
    let child = heap.length - 1;
    while (child > 0) {
      const parent = (child - 1) >> 1;
      if (!this.before(child, parent)) break;
      this.swap(child, parent);
      child = parent;
    }
  }

  pop(): T | undefined {
    const { heap } = this;
    const first = heap[0];
    const last = heap.pop();
    if (!first || !last || heap.length === 0) return first?.value;
    heap[0] = last;
    let parent = 0;
    for (;;) {
      let least = 2 * parent + 1;
      if (least >= heap.length) return first.value;
      if (least + 1 < heap.length && this.before(least + 1, least)) least += 1;
      if (!this.before(least, parent)) return first.value;
      this.swap(least, parent);
      parent = least;
    }
  }

  private before(a: number, b: number): boolean {
    const [left, right] = [this.heap[a]!, this.heap[b]!];
    return left.time !== right.time ? left.time < right.time : left.order < right.order;
  }

  private swap(a: number, b: number): void {
    [this.heap[a], this.heap[b]] = [this.heap[b]!, this.heap[a]!];
  }
}
