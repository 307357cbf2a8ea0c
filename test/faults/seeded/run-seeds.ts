import { FAULT_KINDS, type FaultKind, FAULTS } from './fault-kinds.ts';
import { impossibleKinds, type TrialReport, tryOnce } from './trial.ts';

export interface SeedsAsked {
  readonly seeds: number;
  /** Of the first one; the others count on from it. */
  readonly first: number;
  readonly kinds: readonly FaultKind[];
  readonly keep: boolean;
  readonly beside?: string | undefined;
}

/** Seeds one after the other, a line each; a failing one with its faults and the first violated invariant. @returns how many failed */
export async function runSeeds({ seeds, first, kinds, keep, beside }: SeedsAsked, say: (text: string) => void): Promise<number> {
  const impossible = impossibleKinds(true);
  for (const kind of kinds) if (impossible.has(kind)) say(`not on this machine: ${kind} (${FAULTS[kind].says}): ${impossible.get(kind)}\n`);
  let failed = 0;
  for (let seed = first; seed < first + seeds; seed++) {
    const started = performance.now();
    const report = await tryOnce(seed, { kinds, fetch: true, keep, ...(beside === undefined ? {} : { beside }) });
    const took = ((performance.now() - started) / 1_000).toFixed(0);
    if (report.violated !== undefined) failed += 1;
    say(describeTrial(report, took));
  }
  say(`${seeds - failed} of ${seeds} seeds held\n`);
  return failed;
}

export function describeTrial({ seed, kinds, instances, record, outcome, violated, home }: TrialReport, seconds: string): string {
  const ends = Object.entries(outcome?.ends ?? {}).map(([end, count]) => `${count} ${end}`);
  const counted =
    outcome === undefined
      ? ''
      : `: ${ends.join(', ')}; ${outcome.unknownEffects} unknown effects, ${outcome.settledAtWorst} settled at the worst`;
  const head = `${violated === undefined ? 'ok  ' : 'FAIL'} seed ${seed} (${kinds.join(', ')}) ${seconds} s${counted}\n`;
  if (violated === undefined) return head;
  const started = Object.entries(instances).map(([name, count]) => `${count} ${name}`);
  return `${head}     ${started.join(', ')}\n${record.map((line) => `     ${line}\n`).join('')}     violated: ${violated}\n     again: npm run faults -- --seeds 1 --seed ${seed} --keep (then see ${home})\n`;
}

/** @throws naming the kinds that there are */
export function kindsIn(text: string | undefined): readonly FaultKind[] {
  if (text === undefined) return FAULT_KINDS;
  return text.split(',').map((name) => {
    const found = FAULT_KINDS.find((kind) => kind === name);
    if (found === undefined) throw new Error(`no kind of fault is called "${name}"; there are ${FAULT_KINDS.join(', ')}`);
    return found;
  });
}
