import { AckPolicy, DiscardPolicy, jetstreamManager, type JetStreamManager, RetentionPolicy, StorageType } from '@nats-io/jetstream';
import { connect, nanos } from '@nats-io/transport-node';
import { CONSUMERS, type ConsumerSpec, STREAMS, type StreamSpec } from '@mandate/contracts';

export interface AdminOptions {
  readonly servers: string;
  readonly user: string;
  readonly password: string;
  /** Replaces the consumers' own ack wait; tests shorten it. */
  readonly workerAckWaitMs?: number;
}

export class ProvisionFailed extends Error {
  override readonly name = 'ProvisionFailed';
}

/**
 * Creates what is missing, changes what differs, reads all of it again and compares it field by field. Idempotent.
 * @throws ProvisionFailed naming every stream and consumer that is not as asked for: the field, what was asked for, what is
 */
export async function provision(options: AdminOptions): Promise<void> {
  await asAdmin(options, async (manager) => {
    for (const spec of STREAMS) await provisionStream(manager, spec);
    await Promise.all(CONSUMERS.map((spec) => provisionConsumer(manager, spec, options)));
    await refuseDifferences(manager, options);
  });
}

/** Compares what the server has with the tables, and changes nothing. @throws ProvisionFailed as `provision` does */
export async function checkProvisioned(options: AdminOptions): Promise<void> {
  await asAdmin(options, (manager) => refuseDifferences(manager, options));
}

/** Whether any stream is gone: JetStream's storage was wiped. */
export async function streamsMissing(options: AdminOptions): Promise<boolean> {
  return asAdmin(options, async (manager) => {
    const names = new Set<string>();
    for await (const name of manager.streams.names()) names.add(name);
    return STREAMS.some((spec) => !names.has(spec.name));
  });
}

async function asAdmin<T>(options: AdminOptions, work: (manager: JetStreamManager) => Promise<T>): Promise<T> {
  const nc = await connect({
    servers: options.servers.split(','),
    user: options.user,
    pass: options.password,
    name: 'provisioner',
    timeout: 5_000,
  });
  try {
    return await work(await jetstreamManager(nc));
  } finally {
    await nc.close();
  }
}

type Config = Readonly<Record<string, unknown>>;

const streamConfig = (spec: StreamSpec) => ({
  name: spec.name,
  subjects: [...spec.subjects],
  retention: spec.retention === 'workqueue' ? RetentionPolicy.Workqueue : RetentionPolicy.Limits,
  storage: StorageType.File,
  discard: spec.discard === 'new' ? DiscardPolicy.New : DiscardPolicy.Old,
  max_msgs: spec.maxMessages,
  max_bytes: spec.maxBytes,
  max_age: nanos(spec.maxAgeMs),
  duplicate_window: nanos(spec.duplicateWindowMs),
  max_msgs_per_subject: spec.maxPerSubject ?? -1,
  allow_direct: spec.allowDirect ?? false,
  ...(spec.transform === undefined ? {} : { subject_transform: { src: spec.transform.from, dest: spec.transform.to } }),
});

const consumerConfig = (spec: ConsumerSpec, options: AdminOptions) => ({
  durable_name: spec.name,
  filter_subject: spec.filter,
  ack_policy: AckPolicy.Explicit,
  ack_wait: nanos(spec.owner === 'orchestrator' ? spec.ackWaitMs : (options.workerAckWaitMs ?? spec.ackWaitMs)),
  max_ack_pending: spec.maxAckPending,
  max_deliver: -1,
});

/** What nobody asks for must not be there either: a copy of the messages elsewhere, a pause, somebody who gets them pushed. */
const NEVER_STREAM: Config = {
  subject_transform: undefined,
  republish: undefined,
  mirror: undefined,
  sources: undefined,
  sealed: false,
  no_ack: false,
  allow_rollup_hdrs: false,
};
const NEVER_CONSUMER: Config = {
  deliver_subject: undefined,
  filter_subjects: undefined,
  backoff: undefined,
  pause_until: undefined,
  headers_only: false,
};

async function provisionStream(manager: JetStreamManager, spec: StreamSpec): Promise<void> {
  const wanted = streamConfig(spec);
  const known = await manager.streams.info(spec.name).catch(() => undefined);
  if (known === undefined) await manager.streams.add({ ...wanted, first_seq: firstSequence() });
  // The client sends what the stream has along with what is asked for: what must not be there is named, to be left out.
  else
    await manager.streams.update(spec.name, { ...NEVER_STREAM, ...wanted }).catch((cause: unknown) => {
      throw notChanged(differences(`stream ${spec.name}`, { ...NEVER_STREAM, ...wanted }, fieldsOf(known.config)), cause);
    });
}

/**
 * A stream that replaces a wiped one must not use its sequences again: an acknowledgement names a message by its
 * sequence, and a late one for the old stream would remove a new message. Microseconds since 1970 always grow, and stay
 * exact in a double until 2255.
 */
const firstSequence = (): number => Date.now() * 1_000;

async function provisionConsumer(manager: JetStreamManager, spec: ConsumerSpec, options: AdminOptions): Promise<void> {
  const wanted = consumerConfig(spec, options);
  const known = await manager.consumers.info(spec.stream, spec.name).catch(() => undefined);
  if (known === undefined) await manager.consumers.add(spec.stream, wanted);
  else
    await manager.consumers.update(spec.stream, spec.name, { ...NEVER_CONSUMER, ...wanted }).catch((cause: unknown) => {
      throw notChanged(
        differences(`consumer ${spec.stream}/${spec.name}`, { ...NEVER_CONSUMER, ...wanted }, fieldsOf(known.config)),
        cause,
      );
    });
}

/** Reads everything again: old servers drop fields that they do not know without a word. */
async function refuseDifferences(manager: JetStreamManager, options: AdminOptions): Promise<void> {
  const found = await Promise.all([
    ...STREAMS.map(async (spec) => {
      const { config } = await manager.streams.info(spec.name).catch(missing(`stream ${spec.name}`));
      return differences(`stream ${spec.name}`, { ...NEVER_STREAM, ...streamConfig(spec) }, fieldsOf(config));
    }),
    ...CONSUMERS.map(async (spec) => {
      const { config } = await manager.consumers.info(spec.stream, spec.name).catch(missing(`consumer ${spec.stream}/${spec.name}`));
      return differences(`consumer ${spec.stream}/${spec.name}`, { ...NEVER_CONSUMER, ...consumerConfig(spec, options) }, fieldsOf(config));
    }),
  ]);
  if (found.some((each) => each.length > 0))
    throw new ProvisionFailed(`${found.flat().join('; ')}. Provision again; it needs nats-server 2.10 or later.`);
}

/** Every field that differs, in words. Absent, null, empty and false are the same. */
function differences(what: string, wanted: Config, got: Config): readonly string[] {
  return Object.entries(wanted).flatMap(([field, value]) => {
    const [want, is] = [JSON.stringify(present(value)), JSON.stringify(present(got[field]))];
    return want === is ? [] : [`${what}: asked for ${field} = ${want}, the server has ${is}`];
  });
}

const present = (value: unknown): unknown =>
  value === undefined || value === null || value === '' || (Array.isArray(value) && value.length === 0) ? false : value;

const fieldsOf = (config: object): Config => config as Config;

const missing =
  (what: string) =>
  (cause: unknown): never => {
    throw new ProvisionFailed(`${what}: ${(cause as Error).message}. Provision it.`, { cause });
  };

const notChanged = (found: readonly string[], cause: unknown): ProvisionFailed =>
  new ProvisionFailed(
    `${found.join('; ')}. It cannot be changed: ${(cause as Error).message}. Remove it while nothing is in it, and provision again.`,
    { cause },
  );
