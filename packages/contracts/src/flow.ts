import { PARTITIONS } from '@mandate/domain';

/**
 * Who says what to whom: the one table. The NATS accounts (permissions), the streams and consumers, the handlers'
 * types and the picture in docs/architecture.md are derived from it. Read it top to bottom: it is the road of one task.
 */
export const SERVICES = ['gateway', 'analyzer', 'orchestrator', 'llm-router', 'tool-runner', 'projector'] as const;
export type ServiceName = (typeof SERVICES)[number];
/** `tenant`: any program outside, with a tenant's credential. */
export type Party = ServiceName | 'tenant';

export interface Route {
  /** What is said. `…` is one token, `>` the rest, `<tenant>` the speaker's own tenant, `<self>` its own instance. */
  readonly message: string;
  readonly from: readonly Party[];
  readonly to: readonly Party[];
  readonly subject: string;
  /**
   * `stream`: stored by JetStream, every consumer group gets each message once.
   * `told`: core NATS, whoever listens now. `asked`: core NATS request and reply.
   */
  readonly over: 'stream' | 'told' | 'asked';
  readonly stream?: StreamName;
  readonly says: string;
}

export const FLOW: readonly Route[] = [
  {
    message: 'task.submit, task.cancel, task.top_up, task.fork, task.erase, data_subject.erase',
    from: ['tenant'],
    to: ['orchestrator'],
    subject: 'task.<tenant>.*',
    over: 'stream',
    stream: 'IN',
    says: 'do this task; stop it; give it more; erase its content, or that of a person (from another service; the server maps it into the inbox)',
  },
  {
    message:
      'task.submit, task.cancel, task.top_up, task.fork, task.erase, data_subject.erase, account.define, account.freeze, account.thaw',
    from: ['gateway'],
    to: ['orchestrator'],
    subject: 'in.*.gateway.*',
    over: 'stream',
    stream: 'IN',
    says: 'do this task; stop that one; give it more; erase; an operator’s budgets, freeze and thaw',
  },
  {
    message: 'task.receipt, task.result, data_subject.receipt, account.receipt',
    from: ['orchestrator'],
    to: ['gateway', 'tenant'],
    subject: 'out.<tenant>.*',
    over: 'told',
    says: 'accepted or refused; and how it ended',
  },
  {
    message: 'analyze.run',
    from: ['orchestrator'],
    to: ['analyzer'],
    subject: 'cmd.analyze.>',
    over: 'stream',
    stream: 'CMD_ANALYZE',
    says: 'what is this task?',
  },
  {
    message: 'llm.run',
    from: ['orchestrator'],
    to: ['llm-router'],
    subject: 'cmd.llm.>',
    over: 'stream',
    stream: 'CMD_LLM',
    says: 'ask a model this, for at most that much',
  },
  {
    message: 'tool.run',
    from: ['orchestrator'],
    to: ['tool-runner'],
    subject: 'cmd.tool.>',
    over: 'stream',
    stream: 'CMD_TOOL',
    says: 'call this tool with these arguments',
  },
  {
    message: 'claim',
    from: ['orchestrator', 'llm-router', 'tool-runner'],
    to: [],
    subject: 'claim.*.*',
    over: 'stream',
    stream: 'CLAIMS',
    says: 'this attempt is mine; nobody else may run it',
  },
  {
    message: 'attempt.result, message.parked',
    from: ['analyzer'],
    to: ['orchestrator'],
    subject: 'in.*.analyzer.*',
    over: 'stream',
    stream: 'IN',
    says: 'how the attempt ended',
  },
  {
    message: 'attempt.result, message.parked, lease.ask, lease.settle',
    from: ['llm-router'],
    to: ['orchestrator'],
    subject: 'in.*.llm-router.*',
    over: 'stream',
    stream: 'IN',
    says: 'how the attempt ended and what it cost; money for direct calls, and what became of it',
  },
  {
    message: 'attempt.start, attempt.result, message.parked',
    from: ['tool-runner'],
    to: ['orchestrator'],
    subject: 'in.*.tool-runner.*',
    over: 'stream',
    stream: 'IN',
    says: 'may I start? and how it ended',
  },
  {
    message: 'lease.ask, lease.settle, lease.answer, task.erase, parked.retry',
    from: ['orchestrator'],
    to: ['orchestrator'],
    subject: 'in.*.orchestrator.*',
    over: 'stream',
    stream: 'IN',
    says: 'a workflow’s owner and the owner of its tenant’s account: may it spend this much? what it spent; erase what is about this person; handle again what was parked',
  },
  {
    message: 'lease.answer',
    from: ['orchestrator'],
    to: ['llm-router'],
    subject: 'ctl.lease.*',
    over: 'told',
    says: 'this much is leased to you; or not',
  },
  {
    message: 'accounts.standing',
    from: ['orchestrator'],
    to: ['orchestrator', 'llm-router', 'tool-runner'],
    subject: 'ctl.standing',
    over: 'told',
    says: 'which accounts are frozen, and which have budgets or slots; again every second',
  },
  {
    message: 'partitions.free',
    from: ['orchestrator'],
    to: ['orchestrator'],
    subject: 'ctl.partitions',
    over: 'told',
    says: 'I gave these partitions back: whoever has room, take them now',
  },
  {
    message: 'keys.destroyed',
    from: ['orchestrator'],
    to: ['orchestrator', 'projector', 'analyzer'],
    subject: 'ctl.keys',
    over: 'told',
    says: 'content was erased: forget these keys, and what is remembered of anybody’s words',
  },
  {
    message: 'attempt.grant',
    from: ['orchestrator'],
    to: ['tool-runner'],
    subject: 'ctl.grant.*',
    over: 'told',
    says: 'the start is committed: go, or do not',
  },
  {
    message: 'attempts.stop',
    from: ['orchestrator'],
    to: ['analyzer', 'llm-router', 'tool-runner'],
    subject: 'ctl.stop.*',
    over: 'told',
    says: 'stop these attempts, queued or running',
  },
  {
    message: 'every event',
    from: ['orchestrator'],
    to: ['gateway', 'projector'],
    subject: 'evt.>',
    over: 'stream',
    stream: 'EVT',
    says: 'what happened, in facts',
  },
  {
    message: 'queries',
    from: ['gateway'],
    to: ['projector'],
    subject: 'q.projector.>',
    over: 'asked',
    says: 'tasks, events, calls, costs',
  },
  {
    message: 'catalog',
    from: ['orchestrator', 'gateway'],
    to: ['tool-runner'],
    subject: 'q.tool-runner.>',
    over: 'asked',
    says: 'which tools are there?',
  },
  {
    message: 'account, parked.list, parked.get, parked.decide',
    from: ['gateway'],
    to: ['orchestrator'],
    subject: 'q.orchestrator.>',
    over: 'asked',
    says: 'how does this account stand? what was parked, and what is to become of it?',
  },
  {
    message: 'catalog, call',
    from: ['orchestrator', 'gateway'],
    to: ['llm-router'],
    subject: 'q.llm-router.>',
    over: 'asked',
    says: 'which models are there, at what price? one model call without a task',
  },
  {
    message: 'heartbeat',
    from: [...SERVICES],
    to: [...SERVICES],
    subject: 'hb.>',
    over: 'told',
    says: 'I am here; my health; the hash of my catalogue',
  },
];

export type StreamName = 'IN' | 'CMD_ANALYZE' | 'CMD_LLM' | 'CMD_TOOL' | 'CLAIMS' | 'EVT';

export interface StreamSpec {
  readonly name: StreamName;
  readonly subjects: readonly string[];
  readonly retention: 'workqueue' | 'limits';
  readonly discard: 'new' | 'old';
  readonly maxMessages: number;
  readonly maxBytes: number;
  readonly maxAgeMs: number;
  readonly duplicateWindowMs: number;
  readonly maxPerSubject?: number;
  readonly allowDirect?: boolean;
  /** Applied by the server to messages from outside. */
  readonly transform?: { readonly from: string; readonly to: string };
}

const MINUTE = 60_000;
/** Repeated publishes within it are dropped by the server: a saving, never a guarantee, and its memory grows with it. */
const DUPLICATE_WINDOW_MS = 20_000;
const GIB = 1024 ** 3;
/**
 * Commands hold content, so they do not wait for ever for a worker that never comes. As long as claims, and so longer than
 * any command can still be run: its attempt was settled long before (`deadlineAt`), and what is owed is dispatched anew.
 */
const COMMAND_AGE_MS = 30 * MINUTE;

/** Limits are what one small machine can hold; a cluster raises them by configuration of the server. */
export const STREAMS: readonly StreamSpec[] = [
  {
    // First, because its creation time is the incarnation of the bus: claims made before it are void.
    name: 'CLAIMS',
    subjects: ['claim.*.*'],
    retention: 'limits',
    discard: 'old',
    maxMessages: -1,
    maxBytes: 2 * GIB,
    // Longer than any command can wait and run (queue 2 min + call 2 min + grace), so that a claim outlives its command.
    maxAgeMs: 30 * MINUTE,
    duplicateWindowMs: 100,
    maxPerSubject: 1,
    allowDirect: true,
  },
  {
    name: 'IN',
    subjects: ['in.>', 'task.*.*'],
    retention: 'workqueue',
    discard: 'new',
    maxMessages: 1_000_000,
    maxBytes: 4 * GIB,
    maxAgeMs: 0,
    // As short as the server allows: ids are the senders' own, and one tenant's must not hide another's.
    duplicateWindowMs: 100,
    transform: { from: 'task.*.*', to: `in.{{partition(${PARTITIONS},1,2)}}.task.{{wildcard(1)}}.{{wildcard(2)}}` },
  },
  {
    name: 'CMD_ANALYZE',
    subjects: ['cmd.analyze.>'],
    retention: 'workqueue',
    discard: 'new',
    maxMessages: 1_000_000,
    maxBytes: 4 * GIB,
    maxAgeMs: COMMAND_AGE_MS,
    duplicateWindowMs: DUPLICATE_WINDOW_MS,
  },
  {
    name: 'CMD_LLM',
    subjects: ['cmd.llm.>'],
    retention: 'workqueue',
    discard: 'new',
    maxMessages: 1_000_000,
    maxBytes: 4 * GIB,
    maxAgeMs: COMMAND_AGE_MS,
    duplicateWindowMs: DUPLICATE_WINDOW_MS,
  },
  {
    name: 'CMD_TOOL',
    subjects: ['cmd.tool.>'],
    retention: 'workqueue',
    discard: 'new',
    maxMessages: 1_000_000,
    maxBytes: 4 * GIB,
    maxAgeMs: COMMAND_AGE_MS,
    duplicateWindowMs: DUPLICATE_WINDOW_MS,
  },
  {
    name: 'EVT',
    subjects: ['evt.>'],
    retention: 'limits',
    discard: 'old',
    maxMessages: -1,
    maxBytes: 8 * GIB,
    maxAgeMs: 72 * 60 * MINUTE,
    duplicateWindowMs: DUPLICATE_WINDOW_MS,
  },
];

export interface ConsumerSpec {
  readonly stream: StreamName;
  readonly name: string;
  readonly filter: string;
  readonly owner: ServiceName;
  /** A message that is neither acknowledged nor signalled as in progress for this long goes to somebody else. */
  readonly ackWaitMs: number;
  readonly maxAckPending: number;
}

/** Handling takes milliseconds, and a successor must see a dead owner's unacknowledged messages soon. */
export const INBOX_ACK_WAIT_MS = 1_500;

/** Short, so that a dead worker's attempts are noticed soon; a living one says three times in it that it is at work. */
export const WORKER_ACK_WAIT_MS = 2_500;

const worker = (stream: StreamName, owner: ServiceName, filter: string): ConsumerSpec => ({
  stream,
  name: owner,
  filter,
  owner,
  ackWaitMs: WORKER_ACK_WAIT_MS,
  maxAckPending: 2_000,
});

export const CONSUMERS: readonly ConsumerSpec[] = [
  worker('CMD_ANALYZE', 'analyzer', 'cmd.analyze.>'),
  worker('CMD_LLM', 'llm-router', 'cmd.llm.>'),
  worker('CMD_TOOL', 'tool-runner', 'cmd.tool.>'),
  // Short: handling takes milliseconds, and a successor must see a dead owner's unacknowledged messages soon.
  ...Array.from(
    { length: PARTITIONS },
    (_, p): ConsumerSpec => ({
      stream: 'IN',
      name: `orchestrator-p${p}`,
      filter: `in.${p}.>`,
      owner: 'orchestrator',
      ackWaitMs: INBOX_ACK_WAIT_MS,
      maxAckPending: 1_000,
    }),
  ),
];

/** Consumer group of each worker's command stream. */
export const WORKERS = {
  analyze: { stream: 'CMD_ANALYZE', consumer: 'analyzer' },
  llm: { stream: 'CMD_LLM', consumer: 'llm-router' },
  tool: { stream: 'CMD_TOOL', consumer: 'tool-runner' },
} as const;

/** Message types as they stand in CloudEvents. */
export const TYPES = {
  taskSubmit: 'mandate.task.submit.v1',
  taskCancel: 'mandate.task.cancel.v1',
  taskTopUp: 'mandate.task.top_up.v1',
  taskFork: 'mandate.task.fork.v1',
  taskErase: 'mandate.task.erase.v1',
  subjectErase: 'mandate.data_subject.erase.v1',
  subjectReceipt: 'mandate.data_subject.receipt.v1',
  keysDestroyed: 'mandate.keys.destroyed.v1',
  taskReceipt: 'mandate.task.receipt.v1',
  taskResult: 'mandate.task.result.v1',
  analyzeRun: 'mandate.analyze.run.v1',
  llmRun: 'mandate.llm.run.v1',
  toolRun: 'mandate.tool.run.v1',
  attemptResult: 'mandate.attempt.result.v1',
  attemptStart: 'mandate.attempt.start.v1',
  attemptGrant: 'mandate.attempt.grant.v1',
  attemptsStop: 'mandate.attempts.stop.v1',
  messageParked: 'mandate.message.parked.v1',
  parkedRetry: 'mandate.parked.retry.v1',
  leaseAsk: 'mandate.lease.ask.v1',
  leaseAnswer: 'mandate.lease.answer.v1',
  leaseSettle: 'mandate.lease.settle.v1',
  accountDefine: 'mandate.account.define.v1',
  accountFreeze: 'mandate.account.freeze.v1',
  accountThaw: 'mandate.account.thaw.v1',
  accountReceipt: 'mandate.account.receipt.v1',
  accountsStanding: 'mandate.accounts.standing.v1',
  partitionsFree: 'mandate.partitions.free.v1',
} as const;
