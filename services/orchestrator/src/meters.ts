import type { AccountEventData, WorkflowEvent } from '@mandate/domain';
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

/** The orchestrator's metrics. No ids in labels. */
export class Meters {
  readonly #handled: Histogram;
  readonly #events: Counter;
  readonly #parked: Counter;
  readonly #spent: Counter;
  readonly #alerts: Counter;

  constructor(registry: Registry, gauges: { readonly partitions: () => number; readonly workflows: () => number }) {
    const registers = [registry];
    this.#handled = new Histogram({
      name: 'mandate_inbox_duration_seconds',
      help: 'From delivery to commit and acknowledgement.',
      labelNames: ['kind'],
      buckets: [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5],
      registers,
    });
    this.#events = new Counter({ name: 'mandate_events_total', help: 'Events committed.', labelNames: ['type'], registers });
    this.#parked = new Counter({
      name: 'mandate_messages_parked_total',
      help: 'Messages that could not be handled.',
      labelNames: ['reason'],
      registers,
    });
    this.#spent = new Counter({ name: 'mandate_spent_micro_usd_total', help: 'Money settled, in millionths of a US dollar.', registers });
    this.#alerts = new Counter({
      name: 'mandate_budget_alerts_total',
      help: 'Budgets that have reached the percentage at which they alert.',
      labelNames: ['scope', 'period'],
      registers,
    });
    new Gauge({
      name: 'mandate_partitions_owned',
      help: 'Partitions that this process owns.',
      registers,
      collect() {
        this.set(gauges.partitions());
      },
    });
    new Gauge({
      name: 'mandate_workflows_held',
      help: 'Workflows in memory.',
      registers,
      collect() {
        this.set(gauges.workflows());
      },
    });
  }

  handled(kind: string, started: number): void {
    this.#handled.observe({ kind }, (performance.now() - started) / 1_000);
  }

  parked(reason: string): void {
    this.#parked.inc({ reason });
  }

  /** Labelled with the kind of its scope: whose key and which model stands in the event. */
  alerted({ scope, period }: Pick<AccountEventData<'budget.alerted'>, 'scope' | 'period'>): void {
    this.#alerts.inc({ scope: scope.replace(/:.*/, ''), period });
  }

  decided(events: readonly WorkflowEvent[]): void {
    for (const event of events) {
      this.#events.inc({ type: event.type });
      if (event.type === 'attempt.settled') this.#spent.inc(event.data.spent.moneyMicroUsd);
    }
  }
}
