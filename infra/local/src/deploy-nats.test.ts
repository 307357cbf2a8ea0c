import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { accountsFile } from './deploy-nats.ts';
import { repositoryRoot } from './paths.ts';

test('infra/nats/accounts.conf says what the flow table says', () => {
  const kept = readFileSync(join(repositoryRoot, 'infra/nats/accounts.conf'), 'utf8');
  expect(kept, 'write it again: node infra/local/src/deploy.ts accounts > infra/nats/accounts.conf').toBe(accountsFile());
});
