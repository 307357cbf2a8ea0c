import { subjects } from '@mandate/contracts';
import type { Bus } from './bus.ts';
import { NO_ANSWER, PublishFailed, WRONG_LAST_SEQUENCE } from './publisher.ts';

export type Claim =
  | { readonly won: true }
  /** Somebody has it: this very instance in an earlier delivery, another one, or one that is gone. */
  | { readonly won: false; readonly holder: string };

/**
 * Takes an attempt for `holder`, once and for ever: the first publisher on the attempt's claim subject wins.
 * A claimed attempt without an answer is lost, never repeated. Not sure whether it was stored? Then it is read back.
 *
 * @param holder a name that is unique per process start and delivery, so that a doubtful claim can be recognised
 */
export async function claim(bus: Bus, workflow: string, attempt: string, holder: string): Promise<Claim> {
  const subject = subjects.claim(workflow, attempt);
  for (let doubt = 0; ; doubt++) {
    try {
      await bus.publish(subject, holder, { headers: { 'Nats-Expected-Last-Subject-Sequence': '0' } });
      return { won: true };
    } catch (error) {
      if (!(error instanceof PublishFailed)) throw error;
      if (error.code === WRONG_LAST_SEQUENCE) {
        const known = await holderOf(bus, subject);
        return known === holder ? { won: true } : { won: false, holder: known };
      }
      if (error.code !== NO_ANSWER || doubt >= 3) throw error;
    }
  }
}

async function holderOf(bus: Bus, subject: string): Promise<string> {
  const reply = await bus.nc.request(`${bus.apiPrefix}.DIRECT.GET.CLAIMS.${subject}`, '', { timeout: 2_000 });
  return reply.headers?.code === 404 ? '' : reply.string();
}
