/** The one-shot steps of a deployment. Both read their environment, and both may run again at any time. */
import { migrate } from '@mandate/event-store';
import { provision } from '@mandate/messaging';
import { z } from 'zod';
import { adminPasswordVariable } from './deploy-nats.ts';
import { createDatabases } from './postgres.ts';

type Say = (line: string) => void;

const migrateVariables = z.object({
  /** Of a superuser, in any database. */
  DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/ }),
  ORCHESTRATOR_PASSWORD: z.string().min(1),
  PROJECTOR_PASSWORD: z.string().min(1),
});

const provisionVariables = z.object({ NATS_URL: z.string().min(1), [adminPasswordVariable]: z.string().min(1) });

/** Makes the databases `mandate` and `mandate_keys`, brings them to today's schema and sets the roles' passwords. */
export async function migrateStep(env: NodeJS.ProcessEnv, say: Say): Promise<void> {
  const { DATABASE_URL, ORCHESTRATOR_PASSWORD, PROJECTOR_PASSWORD } = variablesOf(migrateVariables, env);
  await createDatabases(DATABASE_URL, ['mandate', 'mandate_keys']);
  await migrate({
    url: inDatabase(DATABASE_URL, 'mandate'),
    keysUrl: inDatabase(DATABASE_URL, 'mandate_keys'),
    roles: { orchestrator: ORCHESTRATOR_PASSWORD, projector: PROJECTOR_PASSWORD },
    log: say,
  });
  say('both databases are migrated');
}

/** Makes the streams and consumers that are missing and changes those that differ. */
export async function provisionStep(env: NodeJS.ProcessEnv, say: Say): Promise<void> {
  const { NATS_URL, [adminPasswordVariable]: password } = variablesOf(provisionVariables, env);
  await provision({ servers: NATS_URL as string, user: 'admin', password: password as string });
  say('streams and consumers are there');
}

function variablesOf<Variables extends z.ZodObject>(wanted: Variables, env: NodeJS.ProcessEnv): z.infer<Variables> {
  const found = wanted.safeParse(env);
  if (found.success) return found.data;
  const problems = found.error.issues.map((issue) => `  ${issue.path.join('.')}: ${issue.message}`);
  throw new Error(`the environment is not right:\n${problems.join('\n')}\n"deploy prepare" writes a service.env with all of it.`);
}

function inDatabase(url: string, database: string): string {
  const address = new URL(url);
  address.pathname = `/${database}`;
  return address.href;
}
