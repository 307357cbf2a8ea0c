import { isWorkflowId, partitionOf, partitionOfRequest } from '@mandate/domain';
import { expect, test } from 'vitest';
import { base32, workflowIdFor } from './workflow-id.ts';

test('base32 agrees with the vectors of RFC 4648', () => {
  const encoded = ['', 'f', 'fo', 'foo', 'foob', 'fooba', 'foobar'].map((text) => base32(new TextEncoder().encode(text)));
  expect(encoded).toEqual(['', 'my', 'mzxq', 'mzxw6', 'mzxw6yq', 'mzxw6ytb', 'mzxw6ytboi']);
});

test('the same request of a tenant always has the same workflow, in the partition of the request', () => {
  const id = workflowIdFor('acme', 'req-1');
  expect(id).toBe(workflowIdFor('acme', 'req-1'));
  expect(isWorkflowId(id)).toBe(true);
  expect(partitionOf(id)).toBe(partitionOfRequest('acme', 'req-1'));
  expect(workflowIdFor('globex', 'req-1')).not.toBe(id);
});
