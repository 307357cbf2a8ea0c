import type { StoredEvent } from '@mandate/contracts';

/** A row of `timeline`: one event, facts only. Property names are column names. */
export interface TimelineRow {
  readonly workflow: string;
  readonly version: number;
  readonly p: number;
  readonly tenant: string;
  readonly at: number;
  readonly id: string;
  readonly type: string;
  readonly actor: string;
  readonly causation: string;
  readonly correlation: string;
  /** Whether encrypted content stands beside it in the log. */
  readonly has_content: boolean;
  readonly data: unknown;
}

export const timelineRow = (event: StoredEvent, partition: number): TimelineRow => ({
  workflow: event.stream,
  version: event.version,
  p: partition,
  tenant: event.tenant,
  at: event.at,
  id: event.id,
  type: event.type,
  actor: event.actor,
  causation: event.causation,
  correlation: event.correlation,
  has_content: event.content !== undefined,
  data: event.data,
});
