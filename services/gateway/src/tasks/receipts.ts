import { isWorkflowId } from '@mandate/domain';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type GatewayApp, identityOf } from '../http/gateway-app.ts';
import { GatewayProblem } from '../http/problem.ts';
import type { AskProjector } from '../projector-client.ts';

/**
 * Reading one's own writes. What changes something answers with the header `mandate-receipt`; a read that carries it
 * sees that change, or is answered 504 after 2 s. What it says is nobody's business but ours.
 */
const HEADER = 'mandate-receipt';

/** Gives the receipt of what was just accepted. */
export function giveReceipt(
  reply: FastifyReply,
  { workflow, version }: { readonly workflow: string; readonly version?: number | undefined },
): void {
  reply.header(HEADER, Buffer.from(`${workflow}:${version ?? 1}`).toString('base64url'));
}

/** Reads wait for the receipt that they carry. */
export function heedReceipts(app: GatewayApp, ask: AskProjector): void {
  app.addHook('preHandler', async (request) => {
    const given = request.method === 'GET' && request.identity !== null ? request.headers[HEADER] : undefined;
    if (given !== undefined) await ask('receipt.wait', { tenant: identityOf(request).tenant, ...parse(given) });
  });
}

function parse(given: NonNullable<FastifyRequest['headers'][string]>): { readonly workflow: string; readonly version: number } {
  const [workflow = '', version = ''] = Buffer.from(String(given).slice(0, 200), 'base64url').toString().split(':');
  if (!isWorkflowId(workflow) || !/^[1-9]\d{0,8}$/.test(version))
    throw new GatewayProblem({
      status: 400,
      code: 'ReceiptInvalid',
      detail: `The header ${HEADER} holds no receipt.`,
      next: `Send the ${HEADER} of an earlier answer, unchanged.`,
    });
  return { workflow, version: Number(version) };
}
