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

/** Creates what is missing and changes what differs; what the server did not take over as asked is an error. Idempotent. */
export async function provision(options: AdminOptions): Promise<void> {
  await asAdmin(options, async (manager) => {
    for (const spec of STREAMS) await provisionStream(manager, spec);
    await Promise.all(CONSUMERS.map((spec) => provisionConsumer(manager, spec, options)));
  });
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

async function provisionStream(manager: JetStreamManager, spec: StreamSpec): Promise<void> {
  const wanted = {
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
  };
  const known = await manager.streams.info(spec.name).catch(() => undefined);
  const { config } =
    known === undefined
      ? await manager.streams.add({ ...wanted, first_seq: firstSequence() })
      : await manager.streams.update(spec.name, wanted);
  refuseDifference(`stream ${spec.name}`, wanted, config as unknown as Record<string, unknown>);
}

/**
 * A stream that replaces a wiped one must not use its sequences again: an acknowledgement names a message by its
 * sequence, and a late one for the old stream would remove a new message. Microseconds since 1970 always grow, and stay
 * exact in a double until 2255.
 */
const firstSequence = (): number => Date.now() * 1_000;

async function provisionConsumer(manager: JetStreamManager, spec: ConsumerSpec, options: AdminOptions): Promise<void> {
  const ackWaitMs = spec.owner === 'orchestrator' ? spec.ackWaitMs : (options.workerAckWaitMs ?? spec.ackWaitMs);
  const wanted = {
    durable_name: spec.name,
    filter_subject: spec.filter,
    ack_policy: AckPolicy.Explicit,
    ack_wait: nanos(ackWaitMs),
    max_ack_pending: spec.maxAckPending,
    max_deliver: -1,
  };
  const { config } = await manager.consumers.add(spec.stream, wanted);
  refuseDifference(`consumer ${spec.stream}/${spec.name}`, wanted, config as unknown as Record<string, unknown>);
}

/** Old servers drop fields that they do not know without a word, so every answer is compared with what was asked. */
function refuseDifference(what: string, wanted: Record<string, unknown>, got: Record<string, unknown>): void {
  for (const [field, value] of Object.entries(wanted)) {
    if (JSON.stringify(got[field] ?? false) === JSON.stringify(value ?? false)) continue;
    throw new ProvisionFailed(
      `${what}: asked for ${field} = ${JSON.stringify(value)}, the server has ${JSON.stringify(got[field])}. It needs nats-server 2.10 or later.`,
    );
  }
}
