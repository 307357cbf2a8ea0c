import { expect, test } from 'vitest';
import { fairShare } from './leases.ts';

test.each([
  [1, 16],
  [2, 8],
  [3, 6],
  [16, 1],
  [40, 1],
  [0, 16],
])('%i members share 16 partitions: at most %i each', (members, share) => {
  expect(fairShare(members)).toBe(share);
});
