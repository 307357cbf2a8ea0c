import { jsonDepth, LIMITS } from '@mandate/contracts';
import { GatewayProblem } from './problem.ts';

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** A request body as JSON: encoding and depth first, so that nothing expensive is done with something hostile. */
export function parseJsonBody(bytes: Buffer): unknown {
  if (bytes.length === 0) return null;
  const text = decode(bytes);
  const depth = jsonDepth(text);
  if (depth > LIMITS.jsonDepth)
    throw new GatewayProblem({
      status: 400,
      code: 'JsonTooDeep',
      detail: `The body is nested ${depth} levels deep; at most ${LIMITS.jsonDepth} are read.`,
      next: 'Nest less.',
    });
  try {
    return JSON.parse(text);
  } catch {
    throw invalid('The body is not valid JSON.');
  }
}

function decode(bytes: Buffer): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw invalid('The body is not UTF-8.');
  }
}

const invalid = (detail: string): GatewayProblem =>
  new GatewayProblem({ status: 400, code: 'JsonInvalid', detail, next: 'Send one JSON object as UTF-8.' });
