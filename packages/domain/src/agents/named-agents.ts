import { findRole, latestOf, readRoleName, type Role, type RoleCatalogue, ROLE_CATALOGUE, roleId } from './roles.ts';

/** An agent that a tenant described. Versions are kept like those of roles: a change is a new version. */
export interface NamedAgent {
  /** Free in the catalogue (`isFreeName`). */
  readonly name: string;
  readonly version: number;
  /** The role that it builds on, `name@version`: it keeps that text when the role gets a new version. */
  readonly role: string;
  /** Added below the role's own instruction, which stays. */
  readonly instruction?: string;
  /** Only these of the tools that it would get. Absent: all of them. */
  readonly tools?: readonly string[];
  /** Absent: as the task asks. */
  readonly model?: string;
}

/** Somebody who can be given work. */
export interface CastRole {
  /** As the record names it: `name@version`, of the role or of the named agent. */
  readonly id: string;
  /** The role, or the one that a named agent builds on. */
  readonly base: Role;
  /** The whole system text. */
  readonly instruction: string;
  readonly tools: readonly string[] | undefined;
  readonly model: string | undefined;
}

/**
 * Who is meant by a name: a tenant's named agent, a role, or another name of a role; in any spelling, with or without
 * `@version` (without: the latest). Undefined when there is nobody of that name.
 *
 * A named agent goes before a role, so that a role of ours that is added later under its name does not take its place.
 */
export function castRole(name: string, catalogue: RoleCatalogue = ROLE_CATALOGUE, named: readonly NamedAgent[] = []): CastRole | undefined {
  const read = readRoleName(name);
  if (read === undefined) return undefined;
  const agent = latestOf(named.filter((each) => each.name === read.name && (read.version === undefined || each.version === read.version)));
  if (agent !== undefined) return castAgent(agent, catalogue);
  const role = findRole(name, catalogue);
  return role && { id: roleId(role), base: role, instruction: role.instruction, tools: undefined, model: undefined };
}

function castAgent(agent: NamedAgent, catalogue: RoleCatalogue): CastRole | undefined {
  const base = catalogue.roles.find((role) => roleId(role) === agent.role);
  if (base === undefined) return undefined;
  const added = agent.instruction?.trim() ?? '';
  return {
    id: roleId(agent),
    base,
    instruction: added === '' ? base.instruction : `${base.instruction}\n\n${added}`,
    tools: agent.tools,
    model: agent.model,
  };
}

/** Whether a tenant may call an agent so: it reads as a name, as it stands, and no role has it. */
export function isFreeName(name: string, catalogue: RoleCatalogue = ROLE_CATALOGUE): boolean {
  const read = readRoleName(name);
  return read !== undefined && read.version === undefined && read.name === name && findRole(name, catalogue) === undefined;
}
