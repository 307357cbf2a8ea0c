/**
 * Rounds on a machine that others use too. A round in which they took more than a tenth of a core says more about them
 * than about us: it is repeated, at most three times as often as asked. What decides is their CPU alone, never the
 * figure, so nothing is picked by its outcome; when no round is quiet, all of them count and the table says so.
 */
import { setTimeout as wait } from 'node:timers/promises';
import type { Bench } from './bench.ts';
import { watchOthers } from './process-cpu.ts';

export interface Round<T> {
  readonly found: T;
  readonly coresOfOthers: number;
}

const QUIET_CORES = 0.1;
const LOOK_MS = 500;
const MOST_TIMES = 3;

export async function takeRounds<T>(
  bench: Bench,
  name: string,
  takeOne: () => Promise<T>,
  describe: (found: T) => string,
): Promise<readonly Round<T>[]> {
  const rounds: Round<T>[] = [];
  const quiet = (): readonly Round<T>[] => rounds.filter((round) => round.coresOfOthers <= QUIET_CORES);
  while (quiet().length < bench.rounds && rounds.length < MOST_TIMES * bench.rounds) {
    await untilQuiet(bench.patienceSeconds);
    const others = watchOthers();
    const found = await takeOne();
    const round = { found, coresOfOthers: others() };
    rounds.push(round);
    bench.say(
      `${name}, round ${rounds.length}: ${describe(found)}${round.coresOfOthers > QUIET_CORES ? ` (others used ${round.coresOfOthers} cores)` : ''}`,
    );
  }
  return quiet().length > 0 ? quiet() : rounds;
}

/** Waits for a second in which nobody else works here, for as long as the bench has patience. */
async function untilQuiet(patienceSeconds: number): Promise<void> {
  const deadline = performance.now() + patienceSeconds * 1_000;
  for (let quietLooks = 0; quietLooks < 2 && performance.now() < deadline; ) {
    const others = watchOthers();
    await wait(LOOK_MS);
    quietLooks = others() <= QUIET_CORES ? quietLooks + 1 : 0;
  }
}
