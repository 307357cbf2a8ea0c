import { type Stack, type StackOptions, startStack } from '@mandate/local';
import { join } from 'node:path';
import { type Bench, onlyDeaths } from './bench.ts';

const NOTHING = { gateway: 0, analyzer: 0, orchestrator: 0, 'llm-router': 0, 'tool-runner': 0, projector: 0 } as const;

/** NATS and a migrated Postgres, and only those services that are asked for. */
export const startServers = (bench: Bench, instances: StackOptions['instances'] = {}): Promise<Stack> =>
  startStack({ home: join(bench.folder, 'home'), instances: { ...NOTHING, ...instances }, say: onlyDeaths(bench.say) });

/** What a program that opens the stores as a service's role needs. */
export function storeEnvironment({ postgres, secrets }: Stack, role: 'orchestrator' | 'projector'): Record<string, string> {
  const url = (database: string): string => `postgres://mandate_${role}:${secrets.postgres[role]}@127.0.0.1:${postgres.port}/${database}`;
  return { DATABASE_URL: url('mandate'), KEYS_DATABASE_URL: url('mandate_keys'), MANDATE_MASTER_KEY_FILE: secrets.masterKeyFile };
}
