import { PARTITIONS } from '@mandate/domain';
import type { Logger } from '@mandate/service-kit';
import { GenerationProjection } from './partitions/generation-projection.ts';
import { beginRebuild, beginToServe, behind, type Generation, prepareGenerations } from './store/generations.ts';
import { readLogState } from './store/log.ts';
import { openPool } from './store/pool.ts';

const ROUND_MS = 250;
const TIMEOUT_MS = 60_000;

export interface Rebuilt {
  readonly events: number;
  readonly ms: number;
}

/**
 * Builds the read models anew beside those that serve, which answer every query until the new ones have caught up and
 * take their place. The same log makes the same rows. The work is done here, so that projectors keep their time for
 * queries; if this process dies, they carry it on.
 *
 * @throws NoRoom while projectors of another build hold the place beside
 */
export async function rebuild(databaseUrl: string, log: Logger): Promise<Rebuilt> {
  const started = performance.now();
  const control = openPool(databaseUrl, { max: 1, timeoutMs: TIMEOUT_MS, name: 'projector-rebuild' });
  let projection: GenerationProjection | undefined;
  try {
    await prepareGenerations(control);
    const instance = `rebuild-${process.pid}`;
    const generation = await beginRebuild(control, instance);
    projection = new GenerationProjection({
      databaseUrl,
      generation,
      instance,
      most: PARTITIONS,
      log,
      onApplied: () => undefined,
    });
    await untilCaughtUp(projection, generation);
    await beginToServe(control, generation);
    const { heads } = await readLogState(control);
    return { events: [...heads.values()].reduce((sum, head) => sum + head, 0), ms: Math.round(performance.now() - started) };
  } finally {
    await projection?.stop();
    await control.end();
  }

  async function untilCaughtUp(work: GenerationProjection, generation: Generation): Promise<void> {
    for (;;) {
      await work.share();
      const before = work.progress();
      work.observe(await readLogState(control), before);
      const left = await behind(control, generation);
      if (left === 0) return;
      log.info({ left }, 'rebuilding');
      await new Promise((done) => setTimeout(done, ROUND_MS));
    }
  }
}
