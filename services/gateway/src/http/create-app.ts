import type { Socket } from 'node:net';
import swagger from '@fastify/swagger';
import { LIMITS } from '@mandate/contracts';
import { type Logger, traceIdOf, type Tracing, validTraceparent, VERSION } from '@mandate/service-kit';
import { fastify, type FastifyReply, type FastifyRequest } from 'fastify';
import {
  jsonSchemaTransform,
  jsonSchemaTransformObject,
  serializerCompiler,
  validatorCompiler,
  type ZodTypeProvider,
} from 'fastify-type-provider-zod';
import type { ApiKeys } from '../identity/api-keys.ts';
import { problemOf } from './error-answers.ts';
import { type GatewayApp, identityOf } from './gateway-app.ts';
import { checkHostAndOrigin, type HostRules } from './host-check.ts';
import type { HttpMetrics } from './http-metrics.ts';
import { parseJsonBody } from './json-body.ts';
import { GatewayProblem, problemBody, routeUnknown } from './problem.ts';

export interface AppOptions {
  readonly log: Logger;
  readonly tracing: Tracing;
  readonly metrics: HttpMetrics;
  readonly apiKeys: Pick<ApiKeys, 'identify'>;
  readonly hostRules: HostRules;
}

/** Fastify with everything that holds for every route: identity, limits, problems, traces, metrics, the access log. */
export async function createApp(options: AppOptions): Promise<GatewayApp> {
  const app = fastify({
    bodyLimit: LIMITS.requestBytes,
    // Slow senders are cut off; streams of ours are not requests that take long to arrive.
    requestTimeout: 30_000,
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    clientErrorHandler: answerBrokenRequest,
    frameworkErrors: (error, _, reply) => void answer(reply, problemOf(error), 'none'),
  }).withTypeProvider<ZodTypeProvider>();
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_, body, done) => {
    try {
      done(null, parseJsonBody(body as Buffer));
    } catch (error) {
      done(error as Error);
    }
  });
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Mandate',
        version: VERSION,
        description: 'Agents under mandates: submit tasks, follow them, read what they did and cost.',
      },
      components: { securitySchemes: { apiKey: { type: 'http', scheme: 'bearer', description: 'mk_<id>.<secret>' } } },
      security: [{ apiKey: [] }],
    },
    transform: jsonSchemaTransform,
    transformObject: jsonSchemaTransformObject,
  });
  admitRequests(app, options);
  answerProblems(app, options);
  recordRequests(app, options);
  return app;
}

/** Before anything else: the trace, security headers, then whether this host, origin and key may do this. */
function admitRequests(app: GatewayApp, { tracing, apiKeys, hostRules }: AppOptions): void {
  app.decorateRequest('identity', null);
  app.decorateRequest('span', null);
  app.decorateRequest('startedAt', 0);
  app.addHook('onRequest', async (request, reply) => {
    request.startedAt = performance.now();
    request.span = tracing.start(`${request.method} ${routeOf(request)}`, {
      parent: validTraceparent(header(request, 'traceparent')),
      kind: 'server',
      attributes: { 'http.request.method': request.method, 'http.route': routeOf(request) },
    });
    reply.headers({
      'x-correlation-id': correlationOf(request),
      'x-content-type-options': 'nosniff',
      'cache-control': 'no-store',
      'referrer-policy': 'no-referrer',
      'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
    });
    const { isOpen, isProbe } = request.routeOptions.config;
    if (isProbe !== true)
      checkHostAndOrigin(hostRules, { method: request.method, host: request.headers.host, origin: request.headers.origin });
    if (isOpen === true || request.is404) return;
    request.identity = apiKeys.identify(request.headers.authorization) ?? null;
    identityOf(request);
  });
}

function answerProblems(app: GatewayApp, { log }: AppOptions): void {
  app.setErrorHandler((error, request, reply) => {
    const problem = problemOf(error);
    if (problem.status >= 500)
      log.warn({ err: problem.cause ?? problem, code: problem.code, traceId: correlationOf(request) }, 'request failed');
    request.span?.fail(problem.code);
    return answer(reply, problem, correlationOf(request));
  });
  app.setNotFoundHandler((request, reply) => answer(reply, routeUnknown(request.method, pathOf(request)), correlationOf(request)));
}

function recordRequests(app: GatewayApp, { log, metrics }: AppOptions): void {
  app.addHook('onResponse', async (request, reply) => {
    const route = routeOf(request);
    const durationMs = performance.now() - request.startedAt;
    request.span?.set({ 'http.response.status_code': reply.statusCode });
    request.span?.end();
    metrics.requests.inc({ method: request.method, route, status: reply.statusCode });
    metrics.duration.observe({ method: request.method, route }, durationMs / 1_000);
    // The route, not the path: a path can hold anything that somebody typed.
    const line = {
      method: request.method,
      route,
      status: reply.statusCode,
      ms: Math.round(durationMs),
      tenant: request.identity?.tenant,
      keyId: request.identity?.keyId,
      traceId: correlationOf(request),
    };
    if (request.routeOptions.config?.isProbe === true) log.debug(line, 'request');
    else log.info(line, 'request');
  });
}

function answer(reply: FastifyReply, problem: GatewayProblem, correlationId: string): FastifyReply {
  return reply
    .status(problem.status)
    .headers(problem.headers)
    .type('application/problem+json')
    .serializer((body: unknown) => JSON.stringify(body))
    .send(problemBody(problem, correlationId));
}

/** What is not even HTTP is answered on the socket itself. */
function answerBrokenRequest(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
  const tooLarge = error.code === 'HPE_HEADER_OVERFLOW';
  const problem = new GatewayProblem(
    tooLarge
      ? { status: 431, code: 'HeadersTooLarge', detail: 'The request headers are too large.', next: 'Send fewer or shorter headers.' }
      : { status: 400, code: 'HttpInvalid', detail: 'The request is not valid HTTP.', next: 'Send HTTP/1.1.' },
  );
  const body = JSON.stringify(problemBody(problem, 'none'));
  socket.end(
    `HTTP/1.1 ${problem.status} ${tooLarge ? 'Request Header Fields Too Large' : 'Bad Request'}\r\ncontent-type: application/problem+json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
}

const routeOf = (request: FastifyRequest): string => request.routeOptions.url ?? 'unknown';
const pathOf = (request: FastifyRequest): string => request.url.split('?', 1)[0]?.slice(0, 300) ?? '';
const correlationOf = (request: FastifyRequest): string => traceIdOf(request.span?.traceparent) ?? 'none';
const header = (request: FastifyRequest, name: string): string | undefined => {
  const value = request.headers[name];
  return typeof value === 'string' ? value : undefined;
};
