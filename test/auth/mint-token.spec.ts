import { TokenFlagError, grantsFromFlags, mintToken, parseWorkspaceFlag } from '../../src/auth/mint-token';

describe('the --workspace flag', () => {
  test.each([
    ['w1', { id: 'w1' }],
    ['w1:t1', { id: 'w1', tenants: ['t1'] }],
    ['w1:t1,t2', { id: 'w1', tenants: ['t1', 't2'] }],
    ['w1:t:1', { id: 'w1', tenants: ['t:1'] }],
    ['w%3A1:t%2C1,t2', { id: 'w:1', tenants: ['t,1', 't2'] }],
    ['a/b=', { id: 'a/b=' }],
    ['*', '*'],
  ])('%s', (flag, claim) => {
    expect(parseWorkspaceFlag(flag)).toEqual(claim);
  });

  test.each(['', ':t1', 'w1:', 'w1:t1,', 'w%zz'])('%p is refused with the flag in the message', (flag) => {
    expect(() => parseWorkspaceFlag(flag)).toThrow(TokenFlagError);
    expect(() => parseWorkspaceFlag(flag)).toThrow(`--workspace ${flag}`);
  });
});

describe('what the command line grants', () => {
  test('no flags on the admin plane: every workspace, written out, and all of its capabilities', () => {
    expect(grantsFromFlags('admin', [], [])).toEqual({
      workspaces: '*',
      capabilities: ['runs.write', 'runs.triage'],
    });
  });

  test('no flags on the system plane: all of its capabilities and no workspaces', () => {
    expect(grantsFromFlags('system', [], [])).toEqual({
      capabilities: ['ops.triage', 'projections.operate'],
    });
  });

  test('given workspaces limit, unless * is among them', () => {
    expect(grantsFromFlags('admin', ['w1', 'w2:t1'], ['runs.write'])).toEqual({
      workspaces: [{ id: 'w1' }, { id: 'w2', tenants: ['t1'] }],
      capabilities: ['runs.write'],
    });
    expect(grantsFromFlags('admin', ['w1', '*'], []).workspaces).toBe('*');
    expect(grantsFromFlags('system', [], ['none'])).toEqual({ capabilities: [] });
    expect(() => grantsFromFlags('system', [], ['none', 'ops.triage'])).toThrow(/--capability none/);
  });

  test('a capability of the other plane and a workspace on the system plane are errors', () => {
    expect(() => grantsFromFlags('admin', [], ['ops.triage'])).toThrow(
      /--capability ops\.triage.*runs\.write/,
    );
    expect(() => grantsFromFlags('system', ['w1'], [])).toThrow(/--workspace/);
  });

  test('claims the service would refuse are not signed', async () => {
    const minting = mintToken({
      secret: 's'.repeat(32),
      subject: '',
      plane: 'admin',
      capabilities: [],
      ttlSeconds: 60,
      now: '2026-03-01T12:00:00.000Z',
    });
    await expect(minting).rejects.toThrow(/sub/);
  });
});
