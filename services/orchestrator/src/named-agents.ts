import { readFile } from 'node:fs/promises';
import { castRole, isFreeName, isTenantId, type NamedAgent, roleText } from '@mandate/domain';
import { type EventLog, sha256Hex } from '@mandate/event-store';
import { z } from 'zod';

/** The agents that tenants described: `MANDATE_AGENTS_FILE`. */
const agentsFile = z.strictObject({
  agents: z.array(
    z.strictObject({
      tenant: z.string().refine(isTenantId, 'is not a tenant name'),
      name: z.string().refine((name) => isFreeName(name), 'must be a lower-case name that no role has'),
      version: z.number().int().min(1),
      role: z
        .string()
        .refine((role) => /@\d+$/.test(role) && castRole(role) !== undefined, 'must be a role with its version, as analyst@1'),
      instruction: z.string().max(4_000).optional(),
      tools: z.array(z.string()).max(100).optional(),
    }),
  ),
});

/** The file is not right: what to mend stands in the message. */
class AgentsFileInvalid extends Error {
  override readonly name = 'AgentsFileInvalid';
  readonly code = 'agents_file_invalid';
}

/**
 * Agents by tenant, every version that was ever used: commands of open workflows are composed from their texts again. They
 * are kept as artifacts under their names, so a version on record cannot be changed afterwards.
 */
export class NamedAgents {
  readonly #log: EventLog;
  #byTenant: ReadonlyMap<string, readonly NamedAgent[]> = new Map();

  private constructor(log: EventLog) {
    this.#log = log;
  }

  /** @throws AgentsFileInvalid */
  static async open(log: EventLog, file: string | undefined): Promise<NamedAgents> {
    const agents = new NamedAgents(log);
    if (file !== undefined) await agents.#adopt(await readAgents(file));
    await agents.recall();
    return agents;
  }

  of(tenant: string): readonly NamedAgent[] {
    return this.#byTenant.get(tenant) ?? [];
  }

  /** The system text of a role or named agent of this tenant. */
  instruction(tenant: string, role: string): string {
    const named = this.of(tenant);
    return (named.length === 0 ? undefined : castRole(role, undefined, named)?.instruction) ?? roleText(role);
  }

  /** Reads what other instances may have put on record since. */
  async recall(): Promise<void> {
    const found = new Map<string, NamedAgent[]>();
    for (const { kind, body } of await this.#log.artifactsUnder('agent/')) {
      const tenant = kind.slice('agent/'.length);
      found.set(tenant, [...(found.get(tenant) ?? []), JSON.parse(body) as NamedAgent]);
    }
    this.#byTenant = found;
  }

  async #adopt(agents: z.infer<typeof agentsFile>['agents']): Promise<void> {
    for (const { tenant, ...agent } of agents) {
      const body = JSON.stringify(agent);
      const name = `agent/${tenant}/${agent.name}@${agent.version}`;
      await this.#log.saveArtifact(sha256Hex(name), `agent/${tenant}`, body);
      if ((await this.#log.readArtifact(sha256Hex(name))) !== body)
        throw new AgentsFileInvalid(
          `${agent.name} version ${agent.version} of ${tenant} is on record with another content. Give the change a new version.`,
        );
    }
  }
}

async function readAgents(file: string): Promise<z.infer<typeof agentsFile>['agents']> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(await readFile(file, 'utf8'));
  } catch (error) {
    throw new AgentsFileInvalid(`MANDATE_AGENTS_FILE cannot be read: ${(error as Error).message}`);
  }
  const agents = agentsFile.safeParse(parsed);
  if (agents.success) return agents.data.agents;
  throw new AgentsFileInvalid(
    `MANDATE_AGENTS_FILE is not right: ${agents.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; ')}`,
  );
}
