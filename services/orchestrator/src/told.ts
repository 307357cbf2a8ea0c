import { type StartGrant, type SubjectReceipt, subjects, type TaskReceipt, type TaskResult, TYPES } from '@mandate/contracts';
import { isOpen, type OpenAttempt, type Refusal, rootOf, type Workflow, type WorkflowEvent } from '@mandate/domain';
import type { Bus } from '@mandate/messaging';
import type { Cause } from './encode-decision.ts';
import type { Held } from './workflow-memory.ts';

/** Events after which a result is told. */
export const ENDS: ReadonlySet<string> = new Set(['task.completed', 'task.failed', 'task.cancelled']);

/** What the orchestrator tells whoever listens now: receipts, results, grants, stops. All of it can be told again. */
export class Told {
  readonly #bus: Bus;
  readonly #source: string;

  constructor(bus: Bus, instance: string) {
    this.#bus = bus;
    this.#source = `/mandate/orchestrator/${instance}`;
  }

  /** @param version of the log of this workflow that shows what was accepted */
  accepted({ id, tenant }: Held, request: string, duplicate: boolean, version: number, about: Cause): void {
    const receipt: TaskReceipt = { request, accepted: true, workflow: id, duplicate, version };
    this.#tell(subjects.out(tenant, request), TYPES.taskReceipt, receipt, {
      tenant,
      traceparent: about.traceparent,
      causationid: about.message,
    });
  }

  subjectReceipt(tenant: string, receipt: SubjectReceipt, about: Cause): void {
    this.#tell(subjects.out(tenant, receipt.request), TYPES.subjectReceipt, receipt, {
      tenant,
      traceparent: about.traceparent,
      causationid: about.message,
    });
  }

  refused(
    tenant: string,
    request: string,
    refusal: { readonly code: string; readonly message: string; readonly next: string },
    about: { readonly workflow?: string; readonly message?: string | undefined } = {},
  ): void {
    const { workflow, message } = about;
    const receipt: TaskReceipt = { request, accepted: false, ...refusal, ...(workflow === undefined ? {} : { workflow }) };
    this.#tell(subjects.out(tenant, request), TYPES.taskReceipt, receipt, { tenant, causationid: message });
  }

  /** How it ended, once it has ended; nothing before. */
  result(held: Held, traceparent: string | undefined): void {
    const result = resultOf(held);
    if (result !== undefined)
      this.#tell(subjects.out(held.tenant, result.request), TYPES.taskResult, result, { tenant: held.tenant, traceparent });
  }

  grant(runner: string, grant: StartGrant): void {
    this.#tell(subjects.grant(runner), TYPES.attemptGrant, grant, {});
  }

  /** Stop these attempts of a workflow. */
  stop(held: Held, open: readonly OpenAttempt[]): void {
    for (const kind of ['analyze', 'llm', 'tool'] as const) {
      const attempts = open.filter((attempt) => attempt.owes.kind === kind).map((attempt) => attempt.id);
      if (attempts.length > 0) this.#tell(subjects.stop(kind), TYPES.attemptsStop, { workflow: held.id, attempts }, {});
    }
  }

  #tell(
    subject: string,
    type: string,
    data: unknown,
    extra: { readonly tenant?: string; readonly traceparent?: string | undefined; readonly causationid?: string | undefined },
  ): void {
    const id = `${subject}.${type}`;
    this.#bus.tell(
      subject,
      JSON.stringify({ specversion: '1.0', id, source: this.#source, type, time: new Date().toISOString(), ...extra, data }),
    );
  }
}

function resultOf(held: Held): TaskResult | undefined {
  const { state } = held;
  const status = endOf(state);
  if (status === undefined || state.submitted === undefined) return undefined;
  const spent = rootOf(state)?.mandate.spent;
  const answer = state.answerAt === undefined ? undefined : (held.contents.get(state.answerAt) as { text?: string } | undefined)?.text;
  const why = state.failure;
  return {
    request: state.submitted.request,
    workflow: held.id,
    status,
    ...(answer === undefined ? {} : { answer }),
    ...(why === undefined ? {} : { code: why.code, message: why.message }),
    costMicroUsd: spent?.moneyMicroUsd ?? 0,
    tokens: spent?.tokens ?? 0,
    steps: state.stepCount,
    endedAt: state.at,
  };
}

function endOf(state: Workflow): TaskResult['status'] | undefined {
  return isOpen(state) || state.phase === 'absent' || state.phase === 'running' || state.phase === 'ending' ? undefined : state.phase;
}

/** Refusal of a submission that is on the record as `task.rejected`. */
export function rejectionIn(events: readonly WorkflowEvent[]): { readonly code: string; readonly message: string } | undefined {
  const found = events.find((event) => event.type === 'task.rejected');
  return found?.type === 'task.rejected' ? found.data : undefined;
}

export const asRefusal = (refusal: Refusal): { readonly code: string; readonly message: string; readonly next: string } => ({
  code: refusal.code,
  message: refusal.message,
  next: refusal.next,
});
