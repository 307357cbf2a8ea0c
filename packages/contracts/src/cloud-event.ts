import { z } from 'zod';
import type { ParkReason } from './errors.ts';
import { fact, tenantId, word } from './fields.ts';
import { jsonDepth, LIMITS } from './limits.ts';

/**
 * Tasks, commands, results and events are CloudEvents 1.0 in structured JSON (CloudEvents NATS protocol binding 1.0.2);
 * heartbeats, queries, catalogues and claims are bare.
 * Extension attributes: `tenant`, `traceparent` (W3C), `causationid`, `correlationid`.
 */
export const cloudEvent = z.object({
  specversion: fact(z.literal('1.0')),
  id: fact(z.string().min(1).max(200)),
  source: fact(z.string().min(1).max(300)),
  /** `mandate.<name>.v<version>` */
  type: word,
  time: fact(z.string().max(40)).optional(),
  subject: fact(z.string().max(200)).optional(),
  datacontenttype: fact(z.string().max(100)).optional(),
  dataschema: fact(z.string().max(300)).optional(),
  tenant: tenantId.optional(),
  traceparent: fact(z.string().max(100)).optional(),
  causationid: fact(z.string().max(200)).optional(),
  correlationid: fact(z.string().max(200)).optional(),
  data: z.unknown(),
});
export type CloudEvent<Data = unknown> = Omit<z.infer<typeof cloudEvent>, 'data'> & { readonly data: Data };

export type Parsed<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly reason: ParkReason; readonly detail: string };

const parked = (reason: ParkReason, detail: string): Parsed<never> => ({ ok: false, reason, detail });
const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * Bytes from outside to a CloudEvent: size, encoding, depth, JSON, envelope, in this order, so that nothing expensive
 * is done with something hostile. The detail names fields, never their values.
 */
export function parseCloudEvent(
  bytes: Uint8Array,
  maxBytes: number = LIMITS.messageBytes,
  trust: 'none' | 'signed' = 'none',
): Parsed<CloudEvent> {
  if (bytes.length > maxBytes) return parked('too_large', `${bytes.length} bytes; at most ${maxBytes}`);
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    return parked('not_json', 'not UTF-8');
  }
  // What the orchestrator has signed it has composed from checked parts: the second walk over every byte is saved.
  const depth = trust === 'signed' ? 0 : jsonDepth(text);
  if (depth > LIMITS.jsonDepth) return parked('too_deep', `nested ${depth} levels; at most ${LIMITS.jsonDepth}`);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return parked('not_json', 'not valid JSON');
  }
  const event = cloudEvent.safeParse(json);
  return event.success ? { ok: true, value: event.data } : parked('not_a_cloud_event', issues(event.error));
}

/** Checks `data` against the schema of the message type, after the type itself. */
export function parseMessage<T extends z.ZodType>(event: CloudEvent, type: string, schema: T): Parsed<z.infer<T>> {
  const [name, version] = splitType(event.type);
  const [wantedName, wantedVersion] = splitType(type);
  if (name !== wantedName) return parked('unknown_type', `type is not ${type}`);
  if (version !== wantedVersion) return parked('unknown_version', `version is not ${wantedVersion}`);
  const data = schema.safeParse(event.data);
  return data.success ? { ok: true, value: data.data } : parked('invalid_data', issues(data.error));
}

export function splitType(type: string): readonly [name: string, version: string] {
  const dot = type.lastIndexOf('.');
  return [type.slice(0, dot), type.slice(dot + 1)];
}

/** Paths and rules, without the offending values: those may be content. */
export function issues(error: z.ZodError): string {
  return error.issues
    .slice(0, 5)
    .map(
      (issue) => `${issue.path.join('.') || 'data'}: ${issue.code === 'unrecognized_keys' ? 'unknown field' : issue.message.slice(0, 120)}`,
    )
    .join('; ');
}
