import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

export interface HttpMetrics {
  readonly requests: Counter<'method' | 'route' | 'status'>;
  readonly duration: Histogram<'method' | 'route'>;
  readonly openStreams: Gauge;
}

/** Labelled by route template, never by path: a path is as many series as there are workflows. */
export const httpMetrics = (registry: Registry): HttpMetrics => ({
  requests: new Counter({
    name: 'mandate_http_requests_total',
    help: 'Requests answered.',
    labelNames: ['method', 'route', 'status'],
    registers: [registry],
  }),
  duration: new Histogram({
    name: 'mandate_http_request_duration_seconds',
    help: 'Time from request to the end of its answer.',
    labelNames: ['method', 'route'],
    buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60],
    registers: [registry],
  }),
  openStreams: new Gauge({ name: 'mandate_sse_streams_open', help: 'Followers connected by server-sent events.', registers: [registry] }),
});
