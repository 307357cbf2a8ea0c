import type { StoredEvent } from '@mandate/contracts';
import {
  type Allowance,
  type AttemptReserved,
  type AttemptSettled,
  type MandateGranted,
  type MandateToppedUp,
  NONE,
  plus,
  RESUMABLE,
  type TaskForked,
  ROOT_AGENT,
  unreachable,
} from '@mandate/domain';

/**
 * A row of `tasks`: what is known about one workflow. Figures are those of all its agents: every settled attempt
 * counts once, whoever's it was. Property names are column names, so that rows go to and come
 * from Postgres as they are. Times are epoch milliseconds.
 */
export interface TaskRow {
  readonly workflow: string;
  readonly p: number;
  readonly tenant: string;
  readonly request: string;
  readonly status: TaskStatus;
  /** How the root works: its latest decision. */
  readonly pattern: string | null;
  /** Agents so far, the root among them. */
  readonly agents: number;
  readonly cost_micro_usd: number;
  readonly reserved_micro_usd: number;
  readonly tokens: number;
  readonly steps: number;
  readonly model_calls: number;
  readonly tool_calls: number;
  readonly version: number;
  readonly submitted_at: number;
  readonly updated_at: number;
  readonly ended_at: number | null;
  /** Ended, and every mandate was given back: only late answers can follow, a top-up, and an erasure. */
  readonly closed: boolean;
  readonly code: string | null;
  readonly message: string | null;
  /** Version of the event whose content is the answer. */
  readonly answer_at: number | null;
  readonly mandate: GrantedLimits | null;
  /** Reserved and not settled: what an attempt owes is told only when it is reserved. */
  readonly open: Readonly<Record<string, OpenAttempt>>;
  /** Mandates granted and not given back. */
  readonly held_mandates: number;
  /** Of the rules that it is decided by. */
  readonly edition: number | null;
  /** It failed for want of something that a top-up can give. */
  readonly resumable: boolean;
  /** What the account was asked for last. */
  readonly allowance: Pick<Allowance, 'number' | 'moneyMicroUsd'> | null;
  /** When erasure was asked for: nothing of its content is shown from then on. */
  readonly erased_at: number | null;
  /** The run whose past it began with. */
  readonly forked_from: { readonly workflow: string; readonly version: number; readonly hops: number } | null;
}

type TaskStatus = 'running' | 'ending' | 'completed' | 'failed' | 'cancelled' | 'rejected';

export interface OpenAttempt {
  readonly kind: 'analyze' | 'llm' | 'tool';
  readonly reservedMicroUsd: number;
  readonly tool?: string;
  readonly effect?: string;
}

interface GrantedLimits {
  readonly moneyMicroUsd: number;
  readonly tokens: number;
  readonly modelCalls: number;
  readonly toolCalls: number;
  readonly contextTokens: number;
  readonly deadlineAt: number;
  readonly tools: readonly string[];
}

/** An event that cannot follow what the read models hold: its stream is parked. */
class OutOfOrder extends Error {
  override readonly name = 'OutOfOrder';
  readonly code = 'out_of_order';
}

/** Folds one event into its task. Pure: no clock, no chance. @throws OutOfOrder when it is not the stream's next event */
export function evolveTask(before: TaskRow | undefined, event: StoredEvent, partition: number): TaskRow {
  const expected = (before?.version ?? 0) + 1;
  if (event.version !== expected)
    throw new OutOfOrder(`${event.id} is version ${event.version} of its stream; version ${expected} comes next.`);
  if (before === undefined) return submitted(event, partition);
  return { ...before, version: event.version, updated_at: event.at, ...change(before, event) };
}

function submitted(event: StoredEvent, partition: number): TaskRow {
  if (event.type !== 'task.submitted' && event.type !== 'task.forked')
    throw new OutOfOrder(`${event.id} begins a stream with ${event.type}; task.submitted or task.forked comes first.`);
  return {
    workflow: event.stream,
    p: partition,
    tenant: event.tenant,
    request: event.data.request,
    status: 'running',
    pattern: null,
    agents: 0,
    cost_micro_usd: 0,
    reserved_micro_usd: 0,
    tokens: 0,
    steps: 0,
    model_calls: 0,
    tool_calls: 0,
    version: event.version,
    submitted_at: event.at,
    updated_at: event.at,
    ended_at: null,
    closed: false,
    code: null,
    message: null,
    answer_at: null,
    mandate: null,
    open: {},
    held_mandates: 0,
    edition: null,
    resumable: false,
    allowance: null,
    erased_at: null,
    forked_from: event.type === 'task.forked' ? forkedFrom(event.data) : null,
  };
}

const forkedFrom = ({ origin: { workflow, version }, hops }: TaskForked): TaskRow['forked_from'] => ({ workflow, version, hops });

/** What an event changes besides version and time. Events that only inform, or tell of one agent, change nothing. */
function change(task: TaskRow, event: StoredEvent): Partial<TaskRow> {
  switch (event.type) {
    case 'mandate.granted':
      return granted(task, event.data);
    case 'decision.made':
      return event.data.agent === ROOT_AGENT ? { pattern: event.data.pattern } : {};
    case 'attempt.reserved':
      return reserved(task, event.data);
    case 'attempt.settled':
      return settled(task, event.data);
    case 'attempt.reused':
      return settled(task, { ...event.data, final: true, spent: NONE, settledAt: 'nothing' });
    case 'timer.fired':
      return event.data.timer === 'workflow' ? { status: 'ending', ...TOO_LATE } : {};
    case 'cancel.requested':
      return event.data.agent === undefined ? { status: 'ending', ...CANCELLED } : {};
    case 'mandate.topped_up':
      return toppedUp(task, event.data);
    case 'allowance.asked':
      return { allowance: { number: event.data.number, moneyMicroUsd: event.data.moneyMicroUsd } };
    case 'allowance.answered': {
      const { mandate } = task;
      return mandate === null ? {} : { mandate: { ...mandate, moneyMicroUsd: mandate.moneyMicroUsd - takenBack(task, event.data) } };
    }
    case 'task.rejected':
      return { status: 'rejected', code: event.data.code, message: event.data.message, ended_at: event.at, closed: true };
    case 'task.completed':
      return { ...ended(task, event.at), status: 'completed', steps: event.data.steps, answer_at: event.data.answerAt };
    case 'task.failed':
      return {
        ...ended(task, event.at),
        status: 'failed',
        steps: event.data.steps,
        code: event.data.code,
        message: event.data.message,
        answer_at: event.data.answerAt,
        resumable: task.erased_at === null && (task.edition ?? 1) > 1 && RESUMABLE.has(event.data.code),
      };
    case 'task.cancelled':
      return { ...ended(task, event.at), status: 'cancelled', steps: event.data.steps };
    case 'mandate.released':
      return { held_mandates: task.held_mandates - 1, closed: task.ended_at !== null && task.held_mandates === 1 };
    case 'erasure.requested':
      return { erased_at: event.at, resumable: false, ...(task.status === 'running' ? { status: 'ending', ...ERASED } : {}) };
    case 'task.submitted':
    case 'task.forked':
      throw new OutOfOrder(`${event.id} submits a task that exists already.`);
    case 'content.erased':
    case 'attempt.started':
    case 'attempt.answered_late':
    case 'reuse.ended':
    case 'retry.scheduled':
    case 'bus.reset':
    case 'step.refused':
    case 'mandate.warned':
    case 'agent.handed_over':
    case 'agent.stopped':
    case 'agent.ended':
      return {};
    default:
      return unreachable(event);
  }
}

function granted(task: TaskRow, data: MandateGranted): Partial<TaskRow> {
  const counts = { agents: task.agents + 1, held_mandates: task.held_mandates + 1 };
  if (data.parent !== null) return counts;
  const { moneyMicroUsd, tokens, modelCalls, toolCalls, contextTokens, deadlineAt } = data.limits;
  return {
    ...counts,
    edition: data.edition,
    mandate: { moneyMicroUsd, tokens, modelCalls, toolCalls, contextTokens, deadlineAt, tools: data.tools.map((tool) => tool.name) },
  };
}

/** What had run out is owed again: a task that had ended runs on, under the mandate that it gave back. */
function toppedUp(task: TaskRow, { added, deadlineAt }: MandateToppedUp): Partial<TaskRow> {
  const { mandate } = task;
  return {
    status: 'running',
    ended_at: null,
    closed: false,
    code: null,
    message: null,
    answer_at: null,
    resumable: false,
    held_mandates: task.held_mandates + (task.ended_at === null ? 0 : 1),
    mandate: mandate === null ? null : { ...mandate, ...plus(mandate, added), deadlineAt },
  };
}

export const CANCELLED = { code: 'Cancelled', message: 'The task was cancelled.' } as const;
export const ERASED = { code: 'ContentErased', message: 'The content of the task was erased.' } as const;
export const TOO_LATE = { code: 'DeadlineExceeded', message: 'The deadline of the task has passed.' } as const;

/** Money that a top-up had added and the account did not lease; none of it was spent. */
export const takenBack = (task: TaskRow, answer: { readonly number: number; readonly granted: boolean }): number =>
  answer.granted || answer.number === 1 ? 0 : (task.allowance?.moneyMicroUsd ?? 0);

function reserved(task: TaskRow, data: AttemptReserved): Partial<TaskRow> {
  const { owes } = data;
  const attempt: OpenAttempt = {
    kind: owes.kind,
    reservedMicroUsd: data.reservation.moneyMicroUsd,
    ...(owes.kind === 'tool' ? { tool: owes.tool, effect: owes.effect } : {}),
  };
  return {
    reserved_micro_usd: task.reserved_micro_usd + attempt.reservedMicroUsd,
    steps: task.steps + (data.number === 1 ? 1 : 0),
    open: { ...task.open, [data.attempt]: attempt },
  };
}

function settled(task: TaskRow, data: AttemptSettled): Partial<TaskRow> {
  const { [data.attempt]: attempt, ...open } = task.open;
  return {
    reserved_micro_usd: task.reserved_micro_usd - (attempt?.reservedMicroUsd ?? 0),
    cost_micro_usd: task.cost_micro_usd + data.spent.moneyMicroUsd,
    tokens: task.tokens + data.spent.tokens,
    model_calls: task.model_calls + data.spent.modelCalls,
    tool_calls: task.tool_calls + data.spent.toolCalls,
    open,
  };
}

const ended = (task: TaskRow, at: number): Partial<TaskRow> => ({ ended_at: at, closed: task.held_mandates === 0 });
