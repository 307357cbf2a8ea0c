import { type ModelCatalog, modelCatalog, type Problem, subjects, type ToolCatalog, toolCatalog } from '@mandate/contracts';
import {
  DEFAULT_ROLE,
  type DelegationTerms,
  type Environment,
  type GrantedTool,
  type ModelTerms,
  roleText,
  type TaskOptions,
  type Timing,
} from '@mandate/domain';
import { type EventLog, sha256Hex } from '@mandate/event-store';
import type { Logger, ServiceContext } from '@mandate/service-kit';
import { Cast } from './cast.ts';
import type { NamedAgents } from './named-agents.ts';
import { OWN_TOOLS_BYTES } from './own-tools.ts';
import { toolSpecs } from './prompt-text.ts';

const MAX_OUTPUT_TOKENS = 4_096;
/** How long after its start a process waits for word of tools before tasks are taken up without any. */
const TOOLS_WITHIN_MS = 5_000;

/** What the operator says about every workflow. */
export interface CatalogTerms {
  readonly agents: NamedAgents;
  readonly timing: Timing;
  readonly delegation: (tenant: string) => DelegationTerms;
}

/**
 * What tools and models there are, as the workers announce it: a heartbeat with a new hash is followed by a question.
 * Each version is kept as an artifact, so commands of old workflows can be composed again, and the latest is known
 * before any worker has spoken.
 */
export class Catalogs {
  /** Agents that tenants described. */
  readonly agents: NamedAgents;
  readonly #log: EventLog;
  readonly #logger: Logger;
  readonly #timing: Timing;
  readonly #delegation: (tenant: string) => DelegationTerms;
  readonly #toolVersions = new Map<string, ToolCatalog>();
  readonly #casts = new Map<string, Cast>();
  #tools: { readonly hash: string; readonly catalog: ToolCatalog } | undefined;
  #models: { readonly hash: string; readonly catalog: ModelCatalog } | undefined;
  readonly #asking = new Set<string>();
  readonly #since = performance.now();

  constructor(log: EventLog, logger: Logger, terms: CatalogTerms) {
    this.agents = terms.agents;
    this.#log = log;
    this.#logger = logger;
    this.#timing = terms.timing;
    this.#delegation = terms.delegation;
  }

  async start(context: ServiceContext<unknown>): Promise<void> {
    const [tools, models] = await Promise.all([this.#log.latestArtifact('tools'), this.#log.latestArtifact('models')]);
    if (tools !== undefined) this.#adoptTools(tools.hash, toolCatalog.parse(JSON.parse(tools.body)));
    if (models !== undefined) this.#models = { hash: models.hash, catalog: modelCatalog.parse(JSON.parse(models.body)) };
    context.presence.onBeat((beat) => {
      if (beat.service !== 'tool-runner' && beat.service !== 'llm-router') return;
      const known = beat.service === 'tool-runner' ? this.#tools?.hash : this.#models?.hash;
      if (beat.catalogHash === null || beat.catalogHash === known || !beat.ready || this.#asking.has(beat.service)) return;
      this.#asking.add(beat.service);
      this.#ask(context, beat.service, beat.catalogHash)
        .catch((error: unknown) =>
          this.#logger.warn({ problem: (error as Error).message, of: beat.service }, 'catalog not read; the next heartbeat tries again'),
        )
        .finally(() => this.#asking.delete(beat.service));
    });
  }

  /** What is missing before a task can be taken up. */
  get missing(): readonly string[] {
    const toolsAwaited = this.#tools === undefined && performance.now() - this.#since < TOOLS_WITHIN_MS;
    return [
      ...(this.#models === undefined ? ['models (no llm-router has been heard yet)'] : []),
      ...(toolsAwaited ? ['tools (no tool-runner has been heard yet)'] : []),
    ];
  }

  /** What a new workflow of this tenant finds, as far as its own words do not matter; undefined while something is missing. */
  environment(tenant: string, options: TaskOptions): Omit<Environment, 'fingerprint' | 'lease'> | undefined {
    if (this.#models === undefined || this.missing.length > 0) return undefined;
    const offered = this.#offeredTo(tenant, this.#tools?.catalog);
    const tools = offered.map((tool): GrantedTool => ({ name: tool.name, effect: tool.effect }));
    const specs = toolSpecs(
      this.#tools?.catalog,
      tools.map((tool) => tool.name),
    );
    const catalogHash = tools.length === 0 ? null : (this.#tools?.hash ?? null);
    return {
      tools,
      catalogHash,
      promptBaseBytes: Buffer.byteLength(roleText(DEFAULT_ROLE)) + Buffer.byteLength(JSON.stringify(specs)) + OWN_TOOLS_BYTES,
      role: DEFAULT_ROLE,
      model: modelTerms(this.#models.catalog, options.model),
      timing: this.#timing,
      edition: 2,
      tier: 'medium',
      delegation: this.#delegation(tenant),
      team: options.pattern === undefined ? [] : this.cast(tenant, catalogHash).usualTeam(options.tuning?.roles),
    };
  }

  /** Roles cast for a tenant over one version of the tool catalogue. */
  cast(tenant: string, hash: string | null): Cast {
    const name = `${tenant}/${hash ?? ''}`;
    const known = this.#casts.get(name);
    if (known !== undefined) return known;
    const catalog = this.tools(hash);
    const cast = new Cast(catalog, this.#offeredTo(tenant, catalog), this.agents.of(tenant));
    // Only the latest few versions of a catalogue are in use.
    if (this.#casts.size >= 256) this.#casts.clear();
    this.#casts.set(name, cast);
    return cast;
  }

  #offeredTo(tenant: string, catalog: ToolCatalog | undefined): ToolCatalog['tools'] {
    return (catalog?.tools ?? []).filter((tool) => tool.tenants.includes(tenant));
  }

  /** A past version of the tool catalogue. */
  tools(hash: string | null): ToolCatalog | undefined {
    return hash === null ? undefined : this.#toolVersions.get(hash);
  }

  /** Makes sure that `tools(hash)` answers. */
  async recall(hash: string | null): Promise<void> {
    if (hash === null || this.#toolVersions.has(hash)) return;
    const body = await this.#log.readArtifact(hash);
    if (body !== undefined) this.#toolVersions.set(hash, toolCatalog.parse(JSON.parse(body)));
  }

  /** What other instances put on record since this one started. */
  async recallAgents(): Promise<void> {
    await this.agents.recall();
    this.#casts.clear();
  }

  async #ask(context: ServiceContext<unknown>, service: 'tool-runner' | 'llm-router', expected: string): Promise<void> {
    const reply = (await context.bus.ask(subjects.query(service, 'catalog'), '{}', 5_000)) as
      | { readonly ok: true; readonly value: unknown }
      | { readonly ok: false; readonly problem: Problem };
    if (!reply.ok) throw new Error(reply.problem.message);
    const catalog = (service === 'tool-runner' ? toolCatalog : modelCatalog).parse(reply.value);
    const body = JSON.stringify(catalog);
    const hash = sha256Hex(body);
    // Any instance may answer; one that has not yet seen its servers knows less than the one that announced.
    if (hash !== expected) throw new Error('another instance answered, with another catalogue');
    await this.#log.saveArtifact(hash, service === 'tool-runner' ? 'tools' : 'models', body);
    if (service === 'tool-runner') this.#adoptTools(hash, catalog as ToolCatalog);
    else this.#models = { hash, catalog: catalog as ModelCatalog };
    this.#logger.info({ of: service, hash }, 'catalog adopted');
  }

  #adoptTools(hash: string, catalog: ToolCatalog): void {
    this.#tools = { hash, catalog };
    this.#toolVersions.set(hash, catalog);
  }
}

/** Terms of the model asked for, or of the dearest that the router may choose. Null for a model that is not known. */
function modelTerms(catalog: ModelCatalog, wanted: string | undefined): ModelTerms | null {
  const name = wanted ?? catalog.defaultModel;
  const priced = catalog.models.filter((model) => model.priced);
  const candidates = name === null ? priced : priced.filter((model) => model.id === name || `${model.provider}/${model.id}` === name);
  if (candidates.length === 0) return null;
  return {
    model: name,
    priceVersion: catalog.priceVersion,
    worstPrice: {
      inputMicroUsdPerMillionTokens: Math.max(...candidates.map((model) => model.inputMicroUsdPerMillionTokens)),
      outputMicroUsdPerMillionTokens: Math.max(...candidates.map((model) => model.outputMicroUsdPerMillionTokens)),
    },
    maxOutputTokens: Math.min(MAX_OUTPUT_TOKENS, ...candidates.map((model) => model.maxOutputTokens)),
  };
}
