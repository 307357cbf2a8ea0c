import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod';
import { GatewayProblem, requestTooLarge } from './problem.ts';

/** Whatever was thrown while a request was handled, as the problem that the client is told. */
export function problemOf(error: unknown): GatewayProblem {
  if (error instanceof GatewayProblem) return error;
  if (hasZodFastifySchemaValidationErrors(error)) return requestInvalid(error.validation);
  const { statusCode, code = '' } = error as { statusCode?: number; code?: string };
  switch (code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return requestTooLarge();
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new GatewayProblem({
        status: 415,
        code: 'MediaTypeUnsupported',
        detail: 'The request body is not application/json.',
        next: 'Send JSON with Content-Type: application/json.',
      });
    case 'FST_ERR_BAD_URL':
      return new GatewayProblem({
        status: 400,
        code: 'UrlInvalid',
        detail: 'The path of the URL cannot be decoded.',
        next: 'Percent-encode the path as UTF-8.',
      });
    default:
      return statusCode !== undefined && statusCode >= 400 && statusCode < 500
        ? new GatewayProblem({
            status: statusCode,
            code: 'RequestInvalid',
            detail: 'The request cannot be read.',
            next: 'See GET /api/v1/openapi.json.',
            cause: error,
          })
        : new GatewayProblem({
            status: 500,
            code: 'Internal',
            detail: 'The gateway failed unexpectedly.',
            next: 'Report it with the correlationId.',
            cause: error,
          });
  }
}

interface Invalid {
  readonly instancePath: string;
  readonly message?: string | undefined;
}

/** Paths and rules, never the offending values. */
function requestInvalid(invalid: readonly Invalid[]): GatewayProblem {
  const errors = invalid.slice(0, 20).map((each) => ({
    path: each.instancePath.replace(/^\//, '').replaceAll('/', '.'),
    message: (each.message ?? 'is not valid').slice(0, 300),
  }));
  const detail = errors.map(({ path, message }) => `${path === '' ? 'request' : path}: ${message}`).join('; ');
  return new GatewayProblem({
    status: 400,
    code: 'RequestInvalid',
    detail: detail.slice(0, 1_000),
    next: 'Match the schema in GET /api/v1/openapi.json.',
    more: { errors },
  });
}
