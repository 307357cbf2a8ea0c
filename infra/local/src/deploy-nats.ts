/** The nats-server configuration of a deployment: everything but secrets, which it reads from its environment. */
import { LIMITS } from '@mandate/contracts';
import { natsConfig, passwordVariable } from '@mandate/messaging';
import { natsPasswordVariables, type Secrets } from './secrets.ts';

/** Tenants of the accounts file that is kept for reference. */
export const referenceTenants: readonly string[] = ['acme', 'globex'];

/** One server with JetStream. Its monitoring pages answer on the loopback interface of its container alone. */
export function natsConfigFile(options: { readonly tenants: readonly string[]; readonly storeFolder: string }): string {
  return `# Written by "deploy prepare" (infra/local/src/deploy-nats.ts). Passwords and the store's key come from nats.env.
server_name: mandate
port: 4222
http: "127.0.0.1:8222"
max_payload: ${LIMITS.messageBytes}
jetstream {
  store_dir: ${JSON.stringify(options.storeFolder)}
  max_mem: 256M
  max_file: 100G
  sync_interval: 1s
  cipher: aes
  key: $NATS_JETSTREAM_KEY
}
${natsConfig({ tenants: options.tenants })}`;
}

/** The variables that `natsConfigFile` names. */
export function natsEnvironment(secrets: Secrets): Record<string, string> {
  return { NATS_JETSTREAM_KEY: secrets.natsStoreKey, ...natsPasswordVariables(secrets.nats) };
}

/** The accounts part, as `infra/nats/accounts.conf` keeps it for readers. */
export function accountsFile(): string {
  return `# Who may say what to whom, as nats-server enforces it. For reference: deployments get it with their own tenants from
# "deploy prepare". Written by: node infra/local/src/deploy.ts accounts > infra/nats/accounts.conf
${natsConfig({ tenants: referenceTenants })}`;
}

/** The variable of the user who may make streams. */
export const adminPasswordVariable: string = passwordVariable('admin');
