import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** A process of a test's own, which it may pause and kill; it tells of itself line by line. */
export interface TestProcess {
  readonly child: ChildProcess;
  /** The next line that satisfies `wanted`, or null when the process ends without one. */
  line(wanted: (line: string) => boolean): Promise<string | null>;
  readonly ended: Promise<void>;
}

/** Runs `test/support/<script>` with arguments, in TypeScript. Its standard error is the test's. */
export function runScript(script: string, ...args: readonly string[]): TestProcess {
  const child = spawn(
    process.execPath,
    ['--require', join(__dirname, 'swc-register.cjs'), join(__dirname, script), ...args],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const lines: string[] = [];
  let over = false;
  const ended = once(child, 'exit').then(() => undefined);
  let wake: () => void = () => undefined;
  const reader = createInterface({ input: child.stdout });
  reader.on('line', (line) => {
    lines.push(line);
    wake();
  });
  reader.on('close', () => {
    over = true;
    wake();
  });
  return {
    child,
    ended,
    async line(wanted) {
      for (;;) {
        for (let line = lines.shift(); line !== undefined; line = lines.shift())
          if (wanted(line)) return line;
        if (over) return null;
        await new Promise<void>((resolve) => (wake = resolve));
      }
    },
  };
}
