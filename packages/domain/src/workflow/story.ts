import type { Decision } from '../decider.ts';
import type { WorkflowEvent } from './events.ts';
import type { Circumstances } from './inputs.ts';
import { evolve, type Workflow } from './workflow.ts';

/** A decision being written: events so far and the state after them. Lives only inside one call of `decide`. */
export class Story {
  readonly events: WorkflowEvent[] = [];
  readonly now: number;
  readonly bus: string;
  readonly frozen: boolean;
  workflow: Workflow;

  constructor(workflow: Workflow, circumstances: Circumstances) {
    this.workflow = workflow;
    this.now = Math.max(workflow.at, circumstances.now);
    this.bus = circumstances.bus;
    this.frozen = circumstances.frozen ?? false;
  }

  tell(event: WorkflowEvent): void {
    this.events.push(event);
    this.workflow = evolve(this.workflow, event, this.now);
  }

  end(): Decision<WorkflowEvent> {
    return { kind: 'events', events: this.events };
  }
}
