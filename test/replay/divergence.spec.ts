import { classifierV2 } from '../../src/classifier/classifier-v2';
import { parsePolicy } from '../../src/classifier/policy';
import { divergence } from '../../src/replay/divergence';
import { at, builtIn, classified, runningRun } from '../classifier/run-facts';

const beatsWithoutCounts = runningRun({
  progressMovedAt: at(100),
  lastHeartbeatAt: at(1500),
  heartbeatsSinceProgress: 20,
});

test('a longer limit with an earlier deadline was told without a word of what it limits', () => {
  const policy = { version: 2, policy: parsePolicy({ defaults: { stalledAfterHeartbeats: 30 } }) };
  const bySilence = classified(beatsWithoutCounts, builtIn);
  expect(divergence(bySilence, classified(beatsWithoutCounts, policy, false, classifierV2))).toBe(
    'goes stale at 2026-03-01T08:40:00.000Z -> 2026-03-01T08:31:40.000Z (limit 900 s of silence -> 1800 s without new counts)',
  );
});

test('limits of the same thing are told as numbers', () => {
  const patient = { version: 2, policy: parsePolicy({ defaults: { runningStaleAfterSeconds: 1200 } }) };
  expect(divergence(classified(beatsWithoutCounts, builtIn), classified(beatsWithoutCounts, patient))).toBe(
    'goes stale at 2026-03-01T08:40:00.000Z -> 2026-03-01T08:45:00.000Z (limit 900 s -> 1200 s)',
  );
});
