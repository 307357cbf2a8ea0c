/** What each service is told through its environment: its own variables and nothing else. */
import { existsSync, readFileSync } from 'node:fs';
import { type ServiceName } from '@mandate/contracts';
import { delimiter, dirname, join } from 'node:path';
import { cacheFolder } from './paths.ts';
import type { Secrets } from './secrets.ts';

export type ServiceSurroundings = {
  readonly secrets: Secrets;
  readonly natsUrl: string;
  /** `postgres://` address of a database for a role. */
  readonly databaseUrl: (role: 'orchestrator' | 'projector', database: 'mandate' | 'mandate_keys') => string;
  readonly toolsFile: string;
};

/** Settings of this machine that every program here needs to run, and the few that are meant for all services. */
function commonEnvironment(env: NodeJS.ProcessEnv = process.env): Record<string, string> {
  return {
    ...pick(env, ['HOME', 'TMPDIR', 'TEMP', 'TMP', 'SystemRoot', 'LANG', 'TZ', 'NODE_EXTRA_CA_CERTS', 'OTEL_EXPORTER_OTLP_ENDPOINT']),
    PATH: dirname(process.execPath) + delimiter + (env['PATH'] ?? ''),
    LOG_LEVEL: env['LOG_LEVEL'] ?? 'info',
    NODE_ENV: env['NODE_ENV'] ?? 'development',
    HEALTH_PORT: '0',
    // Compiled code is kept from one start to the next: a service starts in two thirds of the time and needs 25 MB less.
    NODE_COMPILE_CACHE: join(cacheFolder(env), 'compile'),
  };
}

/** The variables with which an operator gives the llm-router its providers. Tests do not pass them on: they must not cost anything. */
export function modelProviderEnvironment(env: NodeJS.ProcessEnv = process.env): Record<string, string> {
  return pick(env, [
    ...['OPENAI_API_KEY', 'OPENAI_BASE_URL', 'ANTHROPIC_API_KEY', 'ANTHROPIC_BASE_URL', 'GOOGLE_GENERATIVE_AI_API_KEY', 'GOOGLE_BASE_URL'],
    ...['OPENAI_COMPATIBLE_BASE_URL', 'OPENAI_COMPATIBLE_API_KEY', 'OPENAI_COMPATIBLE_MODEL', 'MANDATE_ALLOW_OFFLINE'],
    ...['MANDATE_MODELS_FILE', 'MANDATE_MODEL', 'HTTPS_PROXY', 'HTTP_PROXY', 'NO_PROXY'],
  ]);
}

/** The environment of a service on this machine, without what differs between its instances. */
export function serviceEnvironment(service: ServiceName, around: ServiceSurroundings): Record<string, string> {
  return { ...commonEnvironment(), ...serviceVariables(service, around) };
}

/** What a service must be told wherever it runs: where its servers are, and its own secrets. */
export function serviceVariables(service: ServiceName, around: ServiceSurroundings): Record<string, string> {
  return {
    NATS_URL: around.natsUrl,
    NATS_USER: service,
    NATS_PASSWORD: around.secrets.nats[service] ?? '',
    ...ownVariables(service, around),
  };
}

function variablesIn(toolsFile: string): readonly string[] {
  const text = existsSync(toolsFile) ? readFileSync(toolsFile, 'utf8') : '';
  return [...text.matchAll(/\$\{([A-Z][A-Z0-9_]*)\}/g)].flatMap(([, name]) => name ?? []);
}

function ownVariables(service: ServiceName, { secrets, databaseUrl, toolsFile }: ServiceSurroundings): Record<string, string> {
  switch (service) {
    case 'gateway':
      return { GATEWAY_HOST: '127.0.0.1', MANDATE_API_KEYS_FILE: secrets.apiKeysFile };
    case 'analyzer':
      return { COMMAND_KEY: secrets.commandKeys.analyzer };
    case 'llm-router':
      return { COMMAND_KEY: secrets.commandKeys.llm };
    case 'tool-runner':
      // What the tools file names as ${NAME}, and nothing else of the operator's environment.
      return { ...pick(process.env, variablesIn(toolsFile)), COMMAND_KEY: secrets.commandKeys.tool, MANDATE_TOOLS_FILE: toolsFile };
    case 'orchestrator':
      return {
        ...stores('orchestrator'),
        COMMAND_KEY_ANALYZER: secrets.commandKeys.analyzer,
        COMMAND_KEY_LLM: secrets.commandKeys.llm,
        COMMAND_KEY_TOOL: secrets.commandKeys.tool,
      };
    case 'projector':
      return { ...stores('projector'), MANDATE_CHECKPOINT_KEY_FILE: secrets.checkpointKeyFile };
  }

  function stores(role: 'orchestrator' | 'projector'): Record<string, string> {
    return {
      DATABASE_URL: databaseUrl(role, 'mandate'),
      KEYS_DATABASE_URL: databaseUrl(role, 'mandate_keys'),
      MANDATE_MASTER_KEY_FILE: secrets.masterKeyFile,
    };
  }
}

function pick(env: NodeJS.ProcessEnv, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(names.flatMap((name) => (env[name] ? [[name, env[name]]] : [])));
}
