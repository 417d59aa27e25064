/** Writes one thing while the next is being made: at most one write is under way, and a failed one fails the next call. */
export class WriteBehind {
  private underWay: Promise<void> = Promise.resolve();

  /** Resolves when the write before has ended and this one has begun. */
  async write(begin: () => Promise<void>): Promise<void> {
    await this.underWay;
    this.underWay = begin();
    this.underWay.catch(() => undefined); // told by the next call
  }

  /** Resolves when all is written. */
  async settled(): Promise<void> {
    await this.underWay;
  }

  /** Resolves when no write is under way any more, whatever has come of it. */
  async ended(): Promise<void> {
    await Promise.allSettled([this.underWay]);
  }
}
