import { maskSecrets, sanitiseFailures } from '../../src/domain/failure-summary';
import { failureSummarySchema } from '../../src/events/operation-run-events';

const kept = (message: string) => sanitiseFailures([{ code: 'E1', message, count: 1 }])[0]!.message;

describe('a failure as a worker reports it', () => {
  it('becomes one line without control characters', () => {
    expect(kept(' disk\u0000 full\r\n\tat \u001b[31mhost\u2028 7 ')).toBe('disk full at [31mhost 7');
  });

  it('is cut, not refused, and never in the middle of a character', () => {
    const cut = kept(`${'x'.repeat(498)}${'😀'.repeat(10)}`);
    expect(cut).toBe(`${'x'.repeat(498)}…`);
    expect(kept('y'.repeat(500))).toHaveLength(500);
    expect(kept('y'.repeat(1_000_000))).toBe(`${'y'.repeat(499)}…`);
  });

  it('has half a surrogate pair replaced', () => {
    expect(kept('a\ud800b')).toBe('a\ufffdb');
  });

  it.each([
    ['401 for Authorization: Bearer abcdef.gh1-jkl', '401 for Authorization: Bearer ***'],
    ['proxy said Basic dXNlcjpwYXNz', 'proxy said Basic ***'],
    ['login failed: password=hunter2, user=ada', 'login failed: password=***, user=ada'],
    ['env DB_PASSWORD="two words" HOST=h', 'env DB_PASSWORD=*** HOST=h'],
    ['{"api_key":"k-123","id":4}', '{"api_key":***,"id":4}'],
    ['secret: s3cr3t; next', 'secret: ***; next'],
    ['connect postgres://ada:pa55@db:5432/x', 'connect postgres://ada:***@db:5432/x'],
    ['jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.sig-nature', 'jwt ***'],
    ['key AKIAABCDEFGHIJKLMNOP denied', 'key *** denied'],
    ['-----BEGIN RSA PRIVATE KEY----- MIIE -----END RSA PRIVATE KEY----- bad', '*** bad'],
    ['-----BEGIN PGP PRIVATE KEY BLOCK----- lQOY -----END PGP PRIVATE KEY BLOCK----- bad', '*** bad'],
    ['BEARER abc123def456', 'BEARER ***'],
  ])('%j keeps no secret', (message, expected) => {
    expect(kept(message)).toBe(expected);
  });

  it('kept a secret that stood in the code', () => {
    const [failure] = sanitiseFailures([{ code: 'token=abc123secret', message: 'x', count: 1 }]);
    expect(failure!.code).toBe('token=***');
  });

  it('keeps no half of a secret that stood where the message was cut', () => {
    expect(kept(`${'x'.repeat(480)} password=${'s'.repeat(100)}`)).not.toMatch(/sss/);
  });

  it('of several lines kept a private key, in what need not be one line', () => {
    const key = '-----BEGIN PRIVATE KEY-----\nMIIEvQ\nIBADAN\n-----END PRIVATE KEY-----';
    expect(maskSecrets(`boom\n${key}\nsee log`)).toBe('boom\n***\nsee log');
    expect(maskSecrets(`boom ${key.slice(0, 40)}`)).toBe('boom ***');
  });

  it.each([
    'connection refused after 3 tokens',
    'https://example.org/a:b@c',
    'basic checks passed',
    'Bearer authentication failed',
  ])('%j is left alone', (message) => {
    expect(kept(message)).toBe(message);
  });

  it.each(['a-', 'a.', 'eyJaaaaaaaa-', 'password ', '-----BEGIN PRIVATE KEY', 'x://', '"'])(
    'is read in no time, even %j over and over',
    (piece) => {
      const before = process.hrtime.bigint();
      kept(piece.repeat(200_000));
      expect(Number(process.hrtime.bigint() - before) / 1e6).toBeLessThan(500);
    },
  );

  it('without a code is unknown', () => {
    expect(sanitiseFailures([{ code: ' \n', message: '', count: 2 }])).toEqual([
      { code: 'unknown', message: '', count: 2 },
    ]);
  });
});

describe('many failures', () => {
  const failures = (n: number) =>
    Array.from({ length: n }, (_, i) => ({ code: `E${i}`, message: '', count: 2 }));

  it('up to twenty are all kept', () => {
    expect(sanitiseFailures(failures(20)).map(({ code }) => code)).toEqual(
      failures(20).map(({ code }) => code),
    );
  });

  it('beyond that the rest is one entry with their counts together', () => {
    const some = sanitiseFailures(failures(50));
    expect(some).toHaveLength(20);
    expect(some.at(-1)).toEqual({ code: 'more', message: '31 more', count: 62 });
  });

  it('always fit the event', () => {
    const wild = [
      { code: 'c'.repeat(5000), message: 'm'.repeat(5000), count: Number.MAX_SAFE_INTEGER },
      ...Array.from({ length: 30 }, () => ({ code: '', message: '\u0007', count: Number.MAX_SAFE_INTEGER })),
    ];
    expect(failureSummarySchema.safeParse(sanitiseFailures(wild)).success).toBe(true);
  });
});
