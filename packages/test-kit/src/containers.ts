/**
 * The servers of a test run as containers of the official images: `MANDATE_TEST_SERVERS=containers`, for machines with Docker.
 *
 * They stand behind the same handles as the local programs. testcontainers is loaded only when it is wanted: it takes long.
 */
import { createDatabases, freePort, type Nats, type NatsOptions, type Postgres, type PostgresOptions } from '@mandate/local';

export const serversAreContainers: boolean = process.env['MANDATE_TEST_SERVERS'] === 'containers';

const images = { nats: 'nats:2.12-alpine', postgres: 'postgres:18-alpine' } as const;

/** A cluster in a container; its data goes with it. */
export async function startPostgresContainer(
  options: Pick<PostgresOptions, 'password' | 'maxConnections'>,
): Promise<Pick<Postgres, 'url' | 'createDatabases' | 'stop'>> {
  const { GenericContainer, Wait } = await import('testcontainers');
  const container = await new GenericContainer(images.postgres)
    .withEnvironment({ POSTGRES_PASSWORD: options.password, POSTGRES_INITDB_ARGS: '--encoding=UTF8 --locale=C --no-sync' })
    .withCommand(['postgres', '-c', 'fsync=off', '-c', 'full_page_writes=off', '-c', `max_connections=${options.maxConnections ?? 200}`])
    .withExposedPorts(5432)
    // Over TCP: while the cluster is being made, it answers on its socket alone.
    .withWaitStrategy(Wait.forSuccessfulCommand('pg_isready -q -h 127.0.0.1 -U postgres'))
    .start();
  const server = `postgres://postgres:${options.password}@${container.getHost()}:${container.getMappedPort(5432)}`;
  return {
    url: (database = 'postgres') => `${server}/${database}`,
    createDatabases: (...names) => createDatabases(`${server}/postgres`, names),
    stop: async () => {
      await container.stop();
    },
  };
}

/** A nats-server in a container. It keeps its port through `restart` and `wipe`. */
export async function startNatsContainer(options: Pick<NatsOptions, 'config' | 'env' | 'storeKey'>): Promise<Nats> {
  const { GenericContainer, getContainerRuntimeClient, Wait } = await import('testcontainers');
  const port = await freePort();
  const prepared = new GenericContainer(images.nats)
    .withEnvironment({ ...options.env, ...(options.storeKey ? { NATS_JETSTREAM_KEY: options.storeKey } : {}) })
    .withCopyContentToContainer([{ content: configText(options), target: '/etc/nats/nats-server.conf' }])
    .withExposedPorts({ container: 4222, host: port })
    .withWaitStrategy(Wait.forLogMessage('Server is ready'));
  let container = await prepared.start();
  const kill = async (): Promise<void> => {
    const { dockerode } = (await getContainerRuntimeClient()).container;
    const found = dockerode.getContainer(container.getId());
    if ((await found.inspect()).State.Running) await found.kill();
  };
  return {
    url: `nats://${container.getHost()}:${port}`,
    monitorUrl: undefined,
    pid: () => {
      throw new Error('a server in a container has no process of this machine');
    },
    kill,
    restart: () => container.restart(),
    wipe: async () => {
      await kill();
      await container.stop();
      container = await prepared.start();
    },
    stop: async () => {
      await container.stop();
    },
  };
}

function configText({ config = '', storeKey }: Pick<NatsOptions, 'config' | 'storeKey'>): string {
  const cipher = storeKey ? '  cipher: aes\n  key: $NATS_JETSTREAM_KEY\n' : '';
  return `port: 4222\njetstream {\n  store_dir: "/data"\n${cipher}}\n${config}\n`;
}
