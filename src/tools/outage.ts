interface Log {
  info(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/**
 * Tells of something that is tried again and again: when it begins to fail, when it fails for another reason, and when it works
 * again. What fails alike each second says nothing new each second.
 */
export class Outage {
  private since: number | null = null;
  private reason = '';

  constructor(
    private readonly log: Log,
    private readonly what: string,
  ) {}

  failed(error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error);
    if (this.since === null || reason !== this.reason) this.log.error({ err: error }, this.what);
    this.since ??= performance.now();
    this.reason = reason;
  }

  worked(): void {
    if (this.since === null) return;
    const seconds = Math.round((performance.now() - this.since) / 1000);
    this.log.info({ seconds }, `works again: ${this.what}`);
    this.since = null;
  }
}
