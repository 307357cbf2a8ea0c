import { randomBytes } from 'node:crypto';
import { type Attributes, context, SpanKind, SpanStatusCode, trace, type Span, type Tracer } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { TracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace';

/** A piece of work on the one trace of its task. */
export interface ActiveSpan {
  /** W3C trace context to hand on: every command, result and event carries it. */
  readonly traceparent: string;
  set(attributes: Attributes): void;
  fail(code: string): void;
  end(): void;
}

export interface Tracing {
  /** `parent`: the W3C trace context that came with the message; without it a new trace begins. */
  start(
    name: string,
    options?: {
      readonly parent?: string | undefined;
      readonly kind?: 'server' | 'client' | 'consumer' | 'producer' | 'internal';
      readonly attributes?: Attributes;
    },
  ): ActiveSpan;
  stop(): Promise<void>;
}

const KINDS = {
  server: SpanKind.SERVER,
  client: SpanKind.CLIENT,
  consumer: SpanKind.CONSUMER,
  producer: SpanKind.PRODUCER,
  internal: SpanKind.INTERNAL,
} as const;

/**
 * Spans go to `OTEL_EXPORTER_OTLP_ENDPOINT` (OTLP over HTTP). Without it nothing is recorded, and the trace context is
 * handed on all the same, so that logs of all services carry one trace id.
 */
export function startTracing(service: string, instance: string, version: string, endpoint: string | undefined): Tracing {
  if (endpoint === undefined || endpoint === '') return PASS_ON;
  const exporter = new OTLPTraceExporter({ url: `${endpoint.replace(/\/$/, '')}/v1/traces` });
  const provider = new TracerProvider({
    resource: resourceFromAttributes({
      'service.name': service,
      'service.instance.id': instance,
      'service.version': version,
      'service.namespace': 'mandate',
    }),
    spanProcessors: [new BatchSpanProcessor({ exporter, scheduledDelayMillis: 500 })],
  });
  const tracer = provider.getTracer('mandate', version);
  return { start: (name, options = {}) => recorded(tracer, name, options), stop: () => provider.shutdown().catch(() => undefined) };
}

const PASS_ON: Tracing = {
  start: (_, options = {}) => ({
    traceparent: options.parent ?? newTraceparent(),
    set: () => undefined,
    fail: () => undefined,
    end: () => undefined,
  }),
  stop: () => Promise.resolve(),
};

const newTraceparent = (): string => `00-${randomBytes(16).toString('hex')}-${randomBytes(8).toString('hex')}-01`;

function recorded(tracer: Tracer, name: string, options: NonNullable<Parameters<Tracing['start']>[1]>): ActiveSpan {
  const span = tracer.startSpan(
    name,
    { kind: KINDS[options.kind ?? 'internal'], attributes: options.attributes ?? {} },
    parentContext(options.parent),
  );
  return {
    traceparent: traceparentOf(span),
    set: (attributes) => void span.setAttributes(attributes),
    fail: (code) => void span.setStatus({ code: SpanStatusCode.ERROR, message: code }).setAttribute('error.type', code),
    end: () => span.end(),
  };
}

const TRACEPARENT = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;

function parentContext(traceparent: string | undefined): ReturnType<typeof context.active> {
  const match = traceparent === undefined ? null : TRACEPARENT.exec(traceparent);
  if (match?.[1] === undefined || match[2] === undefined || match[3] === undefined) return context.active();
  return trace.setSpanContext(context.active(), {
    traceId: match[1],
    spanId: match[2],
    traceFlags: Number.parseInt(match[3], 16),
    isRemote: true,
  });
}

function traceparentOf(span: Span): string {
  const { traceId, spanId, traceFlags } = span.spanContext();
  return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`;
}

/** A well-formed W3C trace context, or undefined: what comes from outside is not trusted. */
export const validTraceparent = (text: string | undefined): string | undefined =>
  text !== undefined && TRACEPARENT.test(text) ? text : undefined;
export const traceIdOf = (traceparent: string | undefined): string | undefined => TRACEPARENT.exec(traceparent ?? '')?.[1];
