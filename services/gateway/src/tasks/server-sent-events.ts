import type { TimelineEvent } from '@mandate/contracts';

/** One event of a timeline as a server-sent event. JSON has no raw line breaks, so `data` is always one line. */
export const encodeEvent = (event: TimelineEvent): string =>
  `id: ${event.version}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;

/** How long a client waits before it connects again. */
export const encodeRetry = (ms: number): string => `retry: ${ms}\n\n`;

/** Keeps the connection alive; clients ignore it. */
export const HEARTBEAT = ': still here\n\n';

/** Where a follower goes on: the header that browsers send after a break wins over the parameter. Undefined: not a number. */
export function resumeAfter(lastEventId: string | undefined, after: number): number | undefined {
  if (lastEventId === undefined || lastEventId === '') return after;
  return /^\d{1,9}$/.test(lastEventId) ? Number(lastEventId) : undefined;
}
