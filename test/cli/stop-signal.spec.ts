import { runScript } from '../support/child-process';

test('a Ctrl-C under npm, which arrives twice, killed the server in the middle of its stop', async () => {
  const server = runScript('stop-signal-script.ts');
  await server.line((text) => text === 'serving');
  server.child.kill('SIGINT');
  server.child.kill('SIGINT');
  expect(await server.line((text) => text === 'stopped')).toBe('stopped');
  await server.ended;
  expect(server.child.exitCode).toBe(0);
});
