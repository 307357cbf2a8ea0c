import { EVENT_VERSIONS, type StoredEvent } from '@mandate/contracts';
import type { WorkflowEvent } from '@mandate/domain';
import { aboutEvent, type DataKey, type EncodedEvent, seal, sha256Hex } from '@mandate/event-store';
import { createHash } from 'node:crypto';

export const GENESIS = Buffer.alloc(32);

export interface EncodeOptions {
  readonly stream: string;
  readonly tenant: string;
  readonly firstVersion: number;
  readonly at: number;
  /** Hash of the event before the first. */
  readonly head: Buffer;
  /** Without one content is stored as it is: for comparison. */
  readonly key: DataKey | undefined;
  /** Words that belong to an event. */
  readonly contentOf: (event: WorkflowEvent) => unknown;
}

/** Events as the orchestrator stores them: envelope bytes, hash chain, sealed content. */
export function encodeEvents(events: readonly WorkflowEvent[], options: EncodeOptions): readonly EncodedEvent[] {
  let head = options.head;
  return events.map((event, index) => {
    const version = options.firstVersion + index;
    const content = options.contentOf(event);
    const body = content === undefined ? undefined : bodyOf(content, version, options);
    const envelope = JSON.stringify(envelopeOf(event, version, options, body));
    head = createHash('sha256').update(head).update(envelope).digest();
    return {
      version,
      type: event.type,
      schema: 1,
      at: options.at,
      envelope,
      hash: head,
      ...(body === undefined ? {} : { content: { keyId: options.key?.id ?? 'none', body } }),
    };
  });
}

function bodyOf(content: unknown, version: number, { key, stream }: EncodeOptions): Buffer {
  const bytes = Buffer.from(JSON.stringify(content));
  return key === undefined ? bytes : seal(key.key, aboutEvent(stream, version), bytes);
}

function envelopeOf(
  event: WorkflowEvent,
  version: number,
  { stream, tenant, at, key }: EncodeOptions,
  body: Buffer | undefined,
): StoredEvent {
  const cause = version === 1 ? 'bench' : `${stream}-${version - 1}`;
  return {
    id: `${stream}-${version}`,
    type: event.type,
    schema: EVENT_VERSIONS[event.type],
    stream,
    version,
    tenant,
    at,
    actor: 'service/bench',
    causation: cause,
    correlation: 'bench',
    trace: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    ...(body === undefined ? {} : { content: { key: key?.id ?? 'none', sha256: sha256Hex(body) } }),
    data: event.data,
  } as StoredEvent;
}
