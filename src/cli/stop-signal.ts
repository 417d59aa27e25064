/** npm passes on to its child what a terminal has sent both of them: one Ctrl-C arrives twice. */
const SAME_SIGNAL_MS = 1_000;

/** The first signal that asks to stop. One more, but for one right behind it, ends the process at once. */
export function stopSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let firstAt: number | null = null;
    const onSignal = (signal: NodeJS.Signals) => {
      const now = performance.now();
      if (firstAt === null) {
        firstAt = now;
        resolve(signal);
      } else if (now - firstAt > SAME_SIGNAL_MS) {
        process.removeListener(signal, onSignal);
        process.kill(process.pid, signal);
      }
    };
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, onSignal);
  });
}
