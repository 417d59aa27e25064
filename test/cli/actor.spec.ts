import os from 'node:os';
import { actorName } from '../../src/cli/actor';

const environment = { ...process.env };
beforeEach(() => {
  process.env.USER = 'somebody-else';
});
afterEach(() => {
  process.env = { ...environment };
  jest.restoreAllMocks();
});

test('who acts is who OPSTRUTH_ACTOR says', () => {
  process.env.OPSTRUTH_ACTOR = ' olga ';
  expect(actorName()).toBe('olga');
});

test.each([undefined, '', ' '])('with OPSTRUTH_ACTOR %p it is the account, whatever USER says', (given) => {
  delete process.env.OPSTRUTH_ACTOR;
  if (given !== undefined) process.env.OPSTRUTH_ACTOR = given;
  expect(actorName()).toBe(os.userInfo().username);
});

test('an account without a name is told by its number', () => {
  delete process.env.OPSTRUTH_ACTOR;
  jest.spyOn(os, 'userInfo').mockImplementation(() => {
    throw new Error('uv_os_get_passwd returned ENOENT');
  });
  expect(actorName()).toMatch(/^uid \d+$/);
});

test.each([
  ['x'.repeat(201), 'must have at most 200 characters'],
  ['ev\u001b[31mil', 'must not contain control characters'],
  ['two\nlines', 'must not contain control characters'],
])('a name that makes a list of entries unreadable was kept with what was done', (given, problem) => {
  process.env.OPSTRUTH_ACTOR = given;
  expect(actorName).toThrow(`wrong settings:\n  OPSTRUTH_ACTOR: ${problem}`);
});
