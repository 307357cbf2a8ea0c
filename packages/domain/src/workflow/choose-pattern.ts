import { ROOT_AGENT } from '../ids.ts';
import { NEEDS_CHILDREN } from '../patterns/patterns.ts';
import type { DecisionMade, WeighedPattern } from './events.ts';
import type { AnalysisFacts, Casting, PatternFit, PatternName } from './steps.ts';
import type { Story } from './story.ts';
import { type Agent, rootOf } from './workflow.ts';

/** Alternatives that are kept for the case that the first choice fails. */
const ALTERNATIVES = 2;
/** Below it a pattern is no alternative. */
const WORTH_TRYING = 0.3;

/** Once the analysis has ended, however it ended. A failed analysis never stops a task. */
export function chooseFromAnalysis(story: Story, team: readonly Casting[]): void {
  const root = rootOf(story.workflow);
  if (story.workflow.steps.size > 0 || root === undefined) return;
  const settled = story.events.find((event) => event.type === 'attempt.reused' || (event.type === 'attempt.settled' && event.data.final));
  const answered = settled?.type === 'attempt.settled' || settled?.type === 'attempt.reused' ? settled.data.answer : undefined;
  const analysis = answered?.kind === 'analyze' ? answered.analysis : undefined;
  story.tell({ type: 'decision.made', data: decision(story, root, analysis, team) });
}

function decision(story: Story, root: Agent, analysis: AnalysisFacts | undefined, team: readonly Casting[]): DecisionMade {
  const tuning = story.workflow.submitted?.options.tuning ?? {};
  const plain = { agent: ROOT_AGENT, pattern: 'direct', weighed: [], alternatives: [], team, tuning } as const;
  if (analysis === undefined) return ordered({ ...plain, chosenBy: 'default', reasons: ['analysis.unavailable'] });
  const reasons = [`tier.${analysis.tier}`, `type.${analysis.taskType}`];
  if (analysis.fit === undefined || root.granted.edition === 1)
    return ordered({ ...plain, chosenBy: 'analysis', reasons: [...reasons, 'pattern.direct.only_one_built'] });
  const weighed = weigh(analysis.fit, root);
  const pattern = weighed.find(({ verdict }) => verdict === 'chosen')?.pattern ?? 'direct';
  return ordered({
    agent: ROOT_AGENT,
    pattern,
    chosenBy: 'analysis',
    reasons: [...reasons, `table.${analysis.fit.table}`],
    weighed,
    alternatives: weighed.filter(({ verdict }) => verdict === 'alternative').map((one) => one.pattern),
    team,
    tuning,
  });
}

/** The best of those that the mandate allows; the next ones are kept; and of all others it is said why not. */
function weigh(fit: PatternFit, root: Agent): readonly WeighedPattern[] {
  const possible = (pattern: PatternName): boolean => root.mandate.limits.children > 0 || !NEEDS_CHILDREN.has(pattern);
  const allowed = fit.scores.filter(({ pattern }) => possible(pattern));
  const chosen = allowed[0]?.pattern;
  const next = allowed.slice(1).filter(({ pattern, score }) => score >= WORTH_TRYING && pattern !== 'direct');
  const alternatives = new Set(next.slice(0, ALTERNATIVES).map(({ pattern }) => pattern));
  return fit.scores.map(({ pattern, score, reasons }): WeighedPattern => {
    if (!possible(pattern)) return { pattern, score, reasons: [...reasons, 'mandate.no_children'], verdict: 'not_possible' };
    return { pattern, score, reasons, verdict: pattern === chosen ? 'chosen' : alternatives.has(pattern) ? 'alternative' : 'lower' };
  });
}

/** Keys in the order of the record, so that a replay compares equal. */
const ordered = ({ agent, pattern, chosenBy, reasons, weighed, alternatives, team, tuning }: DecisionMade): DecisionMade => ({
  agent,
  pattern,
  chosenBy,
  reasons,
  weighed,
  alternatives,
  team,
  tuning,
});

/** What is tried when a pattern failed: the next alternative, then direct. Undefined: it has failed honestly. */
export function fallbackOf(agent: Agent, code: string): DecisionMade | undefined {
  const { decision, tried } = agent;
  if (decision === undefined || agent.granted.edition === 1) return undefined;
  const [next, ...alternatives] = [...decision.alternatives, 'direct' as const].filter((pattern) => !tried.includes(pattern));
  if (next === undefined) return undefined;
  return ordered({
    ...decision,
    pattern: next,
    chosenBy: 'fallback',
    reasons: [`failed.${decision.pattern}.${code}`],
    weighed: [],
    alternatives: alternatives.filter((pattern) => pattern !== 'direct'),
  });
}
