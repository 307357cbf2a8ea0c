import { EVENT_VERSIONS, type StoredEvent } from '@mandate/contracts';
import type { WorkflowEvent } from '@mandate/domain';
import { aboutEvent, chain, type EncodedEvent, seal, sha256Hex } from '@mandate/event-store';
import type { Held } from './workflow-memory.ts';

/** Who and what led to a decision. */
export interface Cause {
  readonly actor: string;
  /** The message or event that caused the input. */
  readonly causation: string;
  /** Id of the client's message, so that its receipt can name it. */
  readonly message?: string;
  readonly traceparent: string | undefined;
}

export const eventId = (workflow: string, version: number): string => `${workflow}-${version}`;

/**
 * Decided events to the bytes that are stored and hashed. The first one is the input and is caused by the message; the
 * others are caused by the input. Content belongs to the input.
 */
export function encodeDecision(
  held: Held,
  events: readonly WorkflowEvent[],
  input: { readonly cause: Cause; readonly content: unknown; readonly at: number; readonly firstVersion: number },
): { readonly encoded: readonly EncodedEvent[]; readonly headHash: Buffer } {
  let head = held.headHash;
  const encoded = events.map((event, index): EncodedEvent => {
    const version = input.firstVersion + index;
    const content = index === 0 && input.content !== undefined ? sealed(held, version, input.content) : undefined;
    const envelope: StoredEvent = {
      id: eventId(held.id, version),
      type: event.type,
      schema: EVENT_VERSIONS[event.type],
      stream: held.id,
      version,
      tenant: held.tenant,
      at: input.at,
      actor: input.cause.actor,
      causation: index === 0 ? input.cause.causation : eventId(held.id, input.firstVersion),
      correlation: held.correlation,
      ...(input.cause.traceparent === undefined ? {} : { trace: input.cause.traceparent }),
      ...(content === undefined ? {} : { content: { key: content.keyId, sha256: sha256Hex(content.body) } }),
      data: event.data,
    } as StoredEvent;
    const bytes = JSON.stringify(envelope);
    head = chain(head, bytes);
    return {
      version,
      type: event.type,
      schema: envelope.schema,
      at: input.at,
      envelope: bytes,
      hash: head,
      ...(content === undefined ? {} : { content }),
    };
  });
  return { encoded, headHash: head };
}

function sealed(held: Held, version: number, content: unknown): { readonly keyId: string; readonly body: Buffer } {
  if (held.key === undefined) throw new Error(`${held.id} has content and no key`);
  return { keyId: held.key.id, body: seal(held.key.key, aboutEvent(held.id, version), Buffer.from(JSON.stringify(content))) };
}
