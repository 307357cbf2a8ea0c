import type { ToolCatalog } from '@mandate/contracts';
import { assembleTeam, type Casting, castRole, type CastRole, type NamedAgent, type ToolOnOffer, toolScope } from '@mandate/domain';
import { OWN_TOOLS_BYTES } from './own-tools.ts';
import { toolSpecs } from './prompt-text.ts';

/** Who plays when a client chose a pattern and no roles: there was no analysis to say more. */
const USUAL_TEAM = ['researcher', 'analyst', 'creator'];

/** Casts roles for one tenant over one version of the tool catalogue. What it says goes on the record. */
export class Cast {
  readonly #catalog: ToolCatalog | undefined;
  readonly #offered: readonly ToolOnOffer[];
  readonly #named: readonly NamedAgent[];
  readonly #known = new Map<string, Casting | null>();

  constructor(catalog: ToolCatalog | undefined, offered: readonly ToolOnOffer[], named: readonly NamedAgent[]) {
    this.#catalog = catalog;
    this.#offered = offered;
    this.#named = named;
  }

  /** The casting of a role by its name or another name of it; null when there is no such role. */
  of(name: string): Casting | null {
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const role = castRole(name, undefined, this.#named);
    const casting = role === undefined ? null : this.#casting(role.id, role.instruction, this.#scopeOf(role), role.base.tier);
    // Names come from outside: what is remembered is bounded.
    if (this.#known.size < 1_000) this.#known.set(name, casting);
    return casting;
  }

  /** Agents that the tenant described. */
  get named(): readonly NamedAgent[] {
    return this.#named;
  }

  /** Whether somebody may be given a tool by name: whoever only reads, or has a list of tools, gets no other. */
  mayUse(name: string, tool: string): boolean {
    const role = castRole(name, undefined, this.#named);
    const changes = this.#offered.some((offered) => offered.name === tool && offered.effect !== 'read_only');
    return role === undefined || ((role.base.effects === 'any' || !changes) && (role.tools?.includes(tool) ?? true));
  }

  /** Whom an analysis calls for, or those that the client named. */
  team(
    need: { readonly capabilities: readonly string[]; readonly taskType: string },
    roles: readonly string[] | undefined,
  ): readonly Casting[] {
    if (roles !== undefined) return this.#byName(roles);
    const { members } = assembleTeam({ ...need, tools: this.#offered });
    return members.map(({ role, tools }) => this.#casting(`${role.name}@${role.version}`, role.instruction, tools, role.tier));
  }

  usualTeam(roles: readonly string[] | undefined): readonly Casting[] {
    return this.#byName(roles ?? USUAL_TEAM);
  }

  #scopeOf({ base, tools }: CastRole): readonly string[] {
    const scope = toolScope(base, this.#offered);
    return tools === undefined ? scope : scope.filter((name) => tools.includes(name));
  }

  #byName(roles: readonly string[]): readonly Casting[] {
    return roles.flatMap((name) => this.of(name) ?? []);
  }

  #casting(role: string, instruction: string, tools: readonly string[], tier: Casting['tier']): Casting {
    const specs = Buffer.byteLength(JSON.stringify(toolSpecs(this.#catalog, tools)));
    return { role, tools, baseBytes: Buffer.byteLength(instruction) + specs + OWN_TOOLS_BYTES, tier };
  }
}
