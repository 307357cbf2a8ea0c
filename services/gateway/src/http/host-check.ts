import { GatewayProblem } from './problem.ts';

export interface HostRules {
  /** Host names, besides loopback ones, under which this gateway is reached. */
  readonly allowedHosts: readonly string[];
}

const MUTATING = new Set(['POST', 'PUT', 'PATCH', 'DELETE']);

/** Stops DNS rebinding (a foreign name that points here) and foreign pages that post here. @throws GatewayProblem 403 */
export function checkHostAndOrigin(
  rules: HostRules,
  request: { readonly method: string; readonly host: string | undefined; readonly origin: string | undefined },
): void {
  const host = parseHost(request.host);
  if (host === undefined || !isAllowedHost(rules, host.hostname)) {
    throw new GatewayProblem({
      status: 403,
      code: 'HostNotAllowed',
      detail: 'The Host header does not name this gateway.',
      next: 'Use localhost, or add the name to GATEWAY_ALLOWED_HOSTS.',
    });
  }
  if (request.origin === undefined || !MUTATING.has(request.method)) return;
  const origin = parseOrigin(request.origin);
  if (origin !== undefined && (origin.host === host.host || rules.allowedHosts.includes(origin.hostname))) return;
  throw new GatewayProblem({
    status: 403,
    code: 'OriginNotAllowed',
    detail: 'A page of another origin may not change anything here.',
    next: 'Call from a page of this gateway or from no page, or add its host to GATEWAY_ALLOWED_HOSTS.',
  });
}

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;
const isAllowedHost = (rules: HostRules, hostname: string): boolean => LOOPBACK.test(hostname) || rules.allowedHosts.includes(hostname);

function parseHost(text: string | undefined): URL | undefined {
  const url = text === undefined || /[/@?#\\]/.test(text) ? null : URL.parse(`http://${text}`);
  return url ?? undefined;
}

function parseOrigin(text: string): URL | undefined {
  const url = URL.parse(text);
  return url !== null && (url.protocol === 'http:' || url.protocol === 'https:') ? url : undefined;
}
