import { rm } from 'node:fs/promises';
import './global-setup';
import { onDatabase } from './server';

export default async function globalTeardown(): Promise<void> {
  const started = globalThis.opstruthTestServer;
  if (!started) return;
  const { embedded, home, server } = started;
  if (!embedded) {
    await onDatabase(server.adminUrl, (client) =>
      client.query(`drop database if exists ${client.escapeIdentifier(server.template)} with (force)`),
    );
  }
  await embedded?.stop();
  if (home) await rm(home, { recursive: true, force: true });
}
