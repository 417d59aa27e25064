import { PassThrough } from 'node:stream';
import { createLogger } from '../../src/observability/logger';

test('the error of a broken connection was logged with the connection itself, and the key to cancel its statements', () => {
  const destination = new PassThrough();
  const logger = createLogger({}, destination);
  const error = Object.assign(new Error('Connection terminated unexpectedly'), {
    code: '57P01',
    client: { processID: 7, secretKey: 42 },
  });
  logger.error({ err: error }, 'a database connection failed');
  const line = JSON.parse(String(destination.read())) as { err: object };
  expect(line).toMatchObject({ level: 'error', msg: 'a database connection failed' });
  expect(line.err).toMatchObject({ type: 'Error', message: error.message, code: '57P01' });
  expect(line.err).not.toHaveProperty('client');
});
