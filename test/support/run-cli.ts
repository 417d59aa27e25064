import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { join } from 'node:path';

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `opstruth <args>` as at a terminal, with these settings and none of the test's own. */
export async function runCli(args: readonly string[], settings: NodeJS.ProcessEnv): Promise<Ended> {
  const child = spawnCli(args, settings);
  const code = new Promise<number | null>((resolve) => child.once('close', resolve));
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  return { code: await code, stdout, stderr };
}

export function spawnCli(args: readonly string[], settings: NodeJS.ProcessEnv) {
  return spawn(
    process.execPath,
    ['--require', join(__dirname, 'swc-register.cjs'), join(__dirname, '../../src/cli.ts'), ...args],
    { stdio: ['ignore', 'pipe', 'pipe'], env: { PATH: process.env.PATH, ...settings } },
  );
}
