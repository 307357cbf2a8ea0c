import type { TaskDetail } from '@mandate/contracts';
import type { AskProjector } from '../projector-client.ts';

const LOOK_EVERY_MS = 500;
/** After the result was told, the read model follows within milliseconds. */
const LOOK_AGAIN_MS = 5;

/**
 * The task once it has ended, or undefined when it has not within `waitMs`. The result that is told on the bus makes it
 * quick; looking now and then makes it certain.
 */
export async function waitForResult(
  ask: AskProjector,
  task: { readonly tenant: string; readonly workflow: string },
  ended: Promise<unknown>,
  waitMs: number,
  signal: AbortSignal,
): Promise<TaskDetail | undefined> {
  const deadline = performance.now() + waitMs;
  let isTold = false;
  const told = ended.then(() => (isTold = true));
  while (performance.now() < deadline && !signal.aborted) {
    const wasTold = isTold;
    const detail = await ask('tasks.get', task).catch(() => undefined);
    if (detail !== undefined && detail.endedAt !== null) return detail;
    const pauseMs = Math.min(wasTold ? LOOK_AGAIN_MS : LOOK_EVERY_MS, deadline - performance.now());
    await pause(pauseMs, wasTold ? [] : [told], signal);
  }
  return undefined;
}

/** Until one of the promises resolves, the signal aborts, or the time is over. */
async function pause(ms: number, sooner: readonly Promise<unknown>[], signal: AbortSignal): Promise<void> {
  const over = Promise.withResolvers<void>();
  const timer = setTimeout(over.resolve, Math.max(0, ms));
  const abort = (): void => over.resolve();
  signal.addEventListener('abort', abort);
  await Promise.race([over.promise, ...sooner]);
  signal.removeEventListener('abort', abort);
  clearTimeout(timer);
}
