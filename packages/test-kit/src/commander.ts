/** The orchestrator's side of the step protocol, for tests of one worker: signed commands out, results and starts back. */
import { randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { type AttemptResult, attemptResult, attemptStart, type Command, parseCloudEvent, subjects, TYPES } from '@mandate/contracts';
import { PARTITIONS } from '@mandate/domain';
import { Bus, consume, sign, SIGNATURE_HEADER } from '@mandate/messaging';
import type { FreshNats } from './servers.ts';

const KINDS = { analyze: TYPES.analyzeRun, llm: TYPES.llmRun, tool: TYPES.toolRun } as const;

const STREAMS = { analyze: 'CMD_ANALYZE', llm: 'CMD_LLM', tool: 'CMD_TOOL' } as const;

export type Sent = {
  readonly workflow: string;
  readonly attempt: string;
  /** Resolves with the first result of this attempt. */
  readonly result: Promise<AttemptResult>;
};

export type Commander = {
  readonly bus: Bus;
  /** Publishes a command. What `changes` does not say is a valid default. */
  send(kind: 'analyze' | 'llm' | 'tool', body: unknown, changes?: Partial<Command> & { readonly key?: string }): Promise<Sent>;
  /** Everything that arrived in the inbox, by type. */
  readonly inbox: readonly { readonly type: string; readonly data: unknown }[];
  /** Asks the service that answers `subject`. @throws when nobody answers */
  ask(subject: string): Promise<unknown>;
  /** Resolves when the workers have acknowledged every command of this kind. */
  settled(kind: 'analyze' | 'llm' | 'tool'): Promise<void>;
  /** Says from now on that these tenants are frozen, and no others. */
  freeze(...tenants: readonly string[]): void;
  stop(): Promise<void>;
};

/** HMAC key of all three workers in a test. */
export const TEST_COMMAND_KEY = 'test-command-key-0123456789';

/** The environment of a worker under test. */
export function workerEnvironment(
  nats: FreshNats,
  service: 'analyzer' | 'llm-router' | 'tool-runner',
  more: Readonly<Record<string, string>> = {},
): Record<string, string> {
  return {
    NATS_URL: nats.url,
    NATS_USER: service,
    NATS_PASSWORD: nats.password(service),
    COMMAND_KEY: TEST_COMMAND_KEY,
    LOG_LEVEL: 'silent',
    ...more,
  };
}

/** Connects as the orchestrator and takes the whole inbox. */
export async function commander(nats: FreshNats): Promise<Commander> {
  const bus = await Bus.connect({ servers: nats.url, user: 'orchestrator', password: nats.password('orchestrator'), name: 'commander' });
  const admin = await Bus.connect({
    servers: nats.url,
    user: 'admin',
    password: nats.password('admin'),
    name: 'commander-admin',
    apiPrefix: '$JS.API',
  });
  const incarnation = await bus.incarnation();
  const inbox: { type: string; data: unknown }[] = [];
  const waiting = new Map<string, (result: AttemptResult) => void>();
  const started = new Map<string, string>();
  let frozen: readonly string[] = [];
  const take = (bytes: Uint8Array): void => {
    const event = parseCloudEvent(bytes, 1024 * 1024);
    if (!event.ok) return;
    inbox.push(event.value);
    if (event.value.type === TYPES.attemptStart) {
      const { workflow, attempt, runner } = attemptStart.parse(event.value.data);
      // The first runner to ask gets it, as often as it asks; nobody else does.
      const allowed = started.get(`${workflow}/${attempt}`) ?? runner;
      started.set(`${workflow}/${attempt}`, allowed);
      const data = { workflow, attempt, granted: allowed === runner, runner: allowed };
      bus.tell(
        subjects.grant(runner),
        JSON.stringify({ specversion: '1.0', id: `grant-${attempt}`, source: '/test', type: TYPES.attemptGrant, data }),
      );
    }
    if (event.value.type !== TYPES.attemptResult) return;
    const result = attemptResult.parse(event.value.data);
    waiting.get(`${result.workflow}/${result.attempt}`)?.(result);
  };
  const consumptions = Array.from({ length: PARTITIONS }, (_, partition) =>
    consume(bus, {
      stream: 'IN',
      consumer: `orchestrator-p${partition}`,
      concurrency: 100,
      ackWaitMs: 1_500,
      handle: async (delivery) => {
        take(delivery.bytes);
        delivery.ack();
      },
    }),
  );
  // What the owners of the accounts say all the time: nobody is frozen, nobody has limits.
  const sayStanding = (): void => {
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const data = { partition, epoch: 1, incarnation: 'test', frozen: [...frozen], limited: [] };
      bus.tell(
        subjects.standing(),
        JSON.stringify({ specversion: '1.0', id: 'standing', source: '/test', type: TYPES.accountsStanding, data }),
      );
    }
  };
  const saying = setInterval(sayStanding, 200);
  return {
    bus,
    inbox,
    freeze: (...tenants) => {
      frozen = tenants;
      sayStanding();
    },
    send: async (kind, body, { key = TEST_COMMAND_KEY, ...changes } = {}) => {
      const workflow =
        changes.workflow ??
        `wf_03_${randomBytes(26)
          .toString('hex')
          .replace(/[^a-f2-7]/g, 'a')
          .slice(0, 26)}`;
      const attempt = changes.attempt ?? 'a1';
      const data = {
        tenant: 'acme',
        agent: 'root',
        depth: 0,
        number: 1,
        expiresAt: Date.now() + 60_000,
        timeoutMs: 20_000,
        reservation: { moneyMicroUsd: 1_000_000, tokens: 1_000_000, modelCalls: 1, toolCalls: 1 },
        bus: incarnation,
        body,
        ...changes,
        workflow,
        attempt,
      };
      const result = new Promise<AttemptResult>((resolve) => waiting.set(`${workflow}/${attempt}`, resolve));
      const id = `cmd-${workflow}-${attempt}-${randomBytes(4).toString('hex')}`;
      const message = JSON.stringify({
        specversion: '1.0',
        id,
        source: '/test',
        type: KINDS[kind],
        time: new Date().toISOString(),
        tenant: data.tenant,
        data,
      });
      await bus.publish(subjects.command(kind, Number(workflow.slice(3, 5)), data.tenant), message, {
        id,
        headers: { [SIGNATURE_HEADER]: sign(key, message) },
      });
      return { workflow, attempt, result };
    },
    ask: (subject) => bus.ask(subject, '{}'),
    settled: async (kind) => {
      const open = async (): Promise<number> =>
        ((await admin.ask(`$JS.API.STREAM.INFO.${STREAMS[kind]}`, '')) as { readonly state: { readonly messages: number } }).state.messages;
      while ((await open()) > 0) await pause(10);
    },
    stop: async () => {
      clearInterval(saying);
      await Promise.all(consumptions.map((each) => each.stop(1_000)));
      await Promise.all([bus.close(), admin.close()]);
    },
  };
}
