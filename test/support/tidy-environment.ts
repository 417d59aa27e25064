import { TestEnvironment } from 'jest-environment-node';

/** Handles that keep a process alive or a peer waiting. Timers are left out: the runner has its own. */
const HANDLES = ['TCPSocketWrap', 'TCPServerWrap', 'ProcessWrap'];
const CLOSED_WITHIN_MS = 5_000;

/** Fails a test file that leaves a connection, a server or a child process open. */
export default class TidyEnvironment extends TestEnvironment {
  private readonly before = openHandles();

  override async teardown(): Promise<void> {
    await super.teardown();
    const giveUpAt = Date.now() + CLOSED_WITHIN_MS;
    // What was told to close needs a turn or two of the event loop.
    for (;;) {
      const left = HANDLES.filter((_, kind) => openHandles()[kind]! > this.before[kind]!);
      if (left.length === 0) return;
      if (Date.now() > giveUpAt) throw new Error(`the tests of this file have left open: ${left.join(', ')}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

/** How many there are of each kind. */
function openHandles(): number[] {
  const open = process.getActiveResourcesInfo();
  return HANDLES.map((kind) => open.filter((one) => one === kind).length);
}
