import { Client } from 'pg';

/** The server of this test run, handed from the global setup to the workers. */
export interface TestServer {
  /** A database of the server that is neither cloned nor written to. */
  readonly adminUrl: string;
  readonly template: string;
}

export function urlOfDatabase(url: string, database: string): string {
  const changed = new URL(url);
  changed.pathname = `/${database}`;
  return changed.toString();
}

export async function onDatabase<T>(url: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: url, application_name: 'opstruth-test' });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
