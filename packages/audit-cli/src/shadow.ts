/** `audit shadow`: what a new orchestrator would have decided otherwise in the last histories of a log. Nothing is written. */
import type { Divergence } from '@mandate/domain';
import { type Declaration, declares } from './divergences.ts';
import { onLog } from './log.ts';
import { type Deciders, describeDivergence, type ReplayReport, replayLog, TODAY } from './replay.ts';

export interface ShadowReport extends ReplayReport {
  readonly undeclared: readonly ShadowDivergence[];
  readonly declared: readonly (ShadowDivergence & { readonly by: Declaration })[];
  /** Declared, and found in no history. */
  readonly unused: readonly Declaration[];
  readonly isRight: boolean;
}
type ShadowDivergence = Divergence & { readonly stream: string; readonly edition: number | null };

/** Every diverging decision counts, also behind one that is declared. `by`: the orchestrator that is tried; today's code. */
export async function shadow(
  url: string,
  { last, declarations, by = TODAY }: { readonly last: number; readonly declarations: readonly Declaration[]; readonly by?: Deciders },
): Promise<ShadowReport> {
  const report = await onLog(url, (store) => replayLog(store, last, by));
  const all = report.findings.flatMap((one): readonly ShadowDivergence[] =>
    one.result === 'diverged' ? one.divergences.map((each) => ({ stream: one.stream, edition: one.edition, ...each })) : [],
  );
  const judged = all.map((each) => ({ each, by: declarations.find((declaration) => declares(declaration, each, each.edition)) }));
  const declared = judged.flatMap(({ each, by: declaration }) => (declaration === undefined ? [] : [{ ...each, by: declaration }]));
  const undeclared = judged.flatMap(({ each, by: declaration }) => (declaration === undefined ? [each] : []));
  const unused = declarations.filter((declaration) => !all.some((each) => declares(declaration, each, each.edition)));
  const isReadable = report.findings.every(({ result }) => result === 'diverged');
  return { ...report, undeclared, declared, unused, isRight: undeclared.length === 0 && unused.length === 0 && isReadable };
}

export function describeShadow(report: ShadowReport): string {
  const { log, streams, events, decisions, identical, findings, undeclared, declared, unused } = report;
  const unreadable = findings.flatMap((one) => (one.result === 'unreadable' ? [`FAILED: ${one.stream}: ${one.problem}`] : []));
  return [
    `log ${log}: the last ${streams} streams, ${events} events, ${decisions} decisions decided again; ${identical} of the streams identical`,
    ...undeclared.map((each) => `UNDECLARED: ${each.stream}: ${describeDivergence(each)}`),
    ...unreadable,
    ...unused.map(({ file, event, path }) => `UNUSED: ${file}: ${event} ${path}: no history diverges so; take it out`),
    ...byDeclaration(declared),
    report.isRight ? 'OK: nothing diverges that is not declared.' : 'FAILED: see docs/audit.md, "Shadow".',
    '',
  ].join('\n');
}

function byDeclaration(declared: ShadowReport['declared']): readonly string[] {
  return [...Map.groupBy(declared, ({ by }) => by)].map(
    ([{ file, event, path, why }, found]) =>
      `declared: ${file}: ${event} ${path}: ${found.length} decisions of ${new Set(found.map(({ stream }) => stream)).size} streams: ${why}`,
  );
}
