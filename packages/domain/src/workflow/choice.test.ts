import { describe, expect, it } from 'vitest';
import { casting, environment, modelAsks, modelSays, submission, Telling } from './given.ts';
import { plainAnalysis } from './given-world.ts';
import { replay } from './replay.ts';
import { type Casting, PATTERN_NAMES, type PatternFit, type PatternName } from './steps.ts';

const team = [casting('researcher@1'), casting('creator@1')];
/** How well the patterns fit, best first; those that are not named do not fit at all. */
const fit = (...scores: readonly (readonly [PatternName, number])[]): PatternFit => ({
  table: 't7',
  scores: [
    ...scores.map(([pattern, score]) => ({ pattern, score, reasons: [`+${score.toFixed(2)} rule_of_${pattern}`] })),
    ...PATTERN_NAMES.filter((pattern) => !scores.some(([named]) => named === pattern)).map((pattern) => ({
      pattern,
      score: 0,
      reasons: [],
    })),
  ],
});
const analyzed = (
  fitting: PatternFit | undefined,
  options: Parameters<typeof submission>[0] = {},
  world = {},
  cast: readonly Casting[] = team,
): Telling => {
  const told = new Telling();
  told.tell({ ...submission(options), environment: { ...environment, ...world } });
  const analysis = fitting === undefined ? plainAnalysis : { ...plainAnalysis, fit: fitting };
  const { id } = told.open('analyze')[0]!;
  told.tell({ kind: 'result', attempt: id, outcome: 'succeeded', answer: { kind: 'analyze', analysis }, team: cast });
  return told;
};
const decisions = (told: Telling): readonly (readonly [string, string, readonly string[]])[] =>
  told
    .all('decision.made')
    .flatMap(({ agent, pattern, chosenBy, reasons }) => (agent === 'a0' ? [[pattern, chosenBy, reasons] as const] : []));
const fails = (told: Telling, agent = 'a0', code = 'bad_request'): readonly string[] =>
  told.tell({ kind: 'result', attempt: told.asked(agent)!.id, outcome: 'failed', failure: { code, retryable: false, billed: 'no' } });
const verdicts = (told: Telling): unknown =>
  Object.fromEntries((told.agent().decision?.weighed ?? []).map(({ pattern, verdict }) => [pattern, verdict]));

describe('the choice of a pattern', () => {
  it('takes the one that fits best, keeps two others, and says of all seven why or why not', () => {
    const told = analyzed(fit(['router', 0.8], ['swarm', 0.6], ['direct', 0.5], ['parallel', 0.4], ['sequential', 0.35]));
    expect(told.agent().decision).toMatchObject({
      pattern: 'router',
      chosenBy: 'analysis',
      reasons: ['tier.simple', 'type.reasoning', 'table.t7'],
      alternatives: ['swarm', 'parallel'],
      team,
    });
    expect(told.agent().decision?.weighed[0]).toEqual({
      pattern: 'router',
      score: 0.8,
      reasons: ['+0.80 rule_of_router'],
      verdict: 'chosen',
    });
    expect(verdicts(told)).toEqual({
      router: 'chosen',
      swarm: 'alternative',
      direct: 'lower',
      parallel: 'alternative',
      sequential: 'lower',
      'orchestrator-workers': 'lower',
      'evaluator-optimizer': 'lower',
    });
  });
  it('keeps no alternative that hardly fits', () => {
    expect(analyzed(fit(['swarm', 0.5], ['router', 0.29])).agent().decision?.alternatives).toEqual([]);
  });
  it.each([
    ['the client', { maxDepth: 0 }, {}],
    ['the operator', {}, { delegation: { ...environment.delegation, maxDepth: 0 } }],
  ])('leaves out what needs children when %s does not allow any', (_, options, world) => {
    const told = analyzed(fit(['parallel', 0.9], ['orchestrator-workers', 0.8], ['swarm', 0.7], ['sequential', 0.6]), options, world);
    expect(told.agent().decision).toMatchObject({ pattern: 'swarm', alternatives: [] });
    expect(verdicts(told)).toMatchObject({ parallel: 'not_possible', 'orchestrator-workers': 'not_possible', sequential: 'not_possible' });
    expect(told.agent().decision?.weighed[0]?.reasons).toEqual(['+0.90 rule_of_parallel', 'mandate.no_children']);
  });
  it('is direct when the analysis does not say what fits, in edition 1, and when there is no analysis', () => {
    expect(analyzed(undefined).agent().decision).toMatchObject({ pattern: 'direct', chosenBy: 'analysis', weighed: [] });
    expect(analyzed(fit(['swarm', 0.9]), {}, { edition: 1 }).agent().decision).toMatchObject({ pattern: 'direct', weighed: [] });
    const told = new Telling();
    told.tell(submission({}));
    told.tell({
      kind: 'result',
      attempt: told.open()[0]!.id,
      outcome: 'failed',
      failure: { code: 'bad_request', retryable: false, billed: 'no' },
      team,
    });
    expect(told.agent().decision).toMatchObject({ pattern: 'direct', chosenBy: 'default', reasons: ['analysis.unavailable'], team });
  });
  it("is the client's when it says so, with the team that the world offers and the tuning that it asked for", () => {
    const told = new Telling();
    const tuning = { mode: 'votes', votes: 2 } as const;
    told.tell({ ...submission({ pattern: 'parallel', tuning }), environment: { ...environment, team } });
    expect(told.agent().decision).toMatchObject({
      pattern: 'parallel',
      chosenBy: 'client',
      reasons: ['options.pattern'],
      team,
      tuning,
      alternatives: [],
    });
    expect(told.workflow.agents.size).toBe(3);
  });
  it('gives the analysis the tuning of the client too, and the team that came with the analysis', () => {
    const told = analyzed(fit(['parallel', 0.9]), { tuning: { policy: 'all' } });
    expect(told.agent().decision).toMatchObject({ tuning: { policy: 'all' }, team });
    expect([...told.workflow.agents.values()].map(({ granted }) => granted.role)).toEqual(['generalist@1', 'researcher@1', 'creator@1']);
  });
});

describe('a pattern that fails', () => {
  it('is followed by its alternatives, then by direct, then by an honest failure; each is on the record', () => {
    const told = analyzed(fit(['sequential', 0.9], ['router', 0.6], ['swarm', 0.5], ['parallel', 0.4]));
    fails(told, 'a0-1');
    expect(told.agent().decision?.pattern).toBe('router');
    for (const _ of [1, 2]) told.model('a0', modelAsks({ kind: 'choose', to: null }));
    expect(told.agent().decision?.pattern).toBe('swarm');
    fails(told);
    expect(fails(told, 'a0', 'server_down')).toEqual(['attempt.settled', 'task.failed', 'mandate.released']);
    expect(decisions(told)).toEqual([
      ['sequential', 'analysis', ['tier.simple', 'type.reasoning', 'table.t7']],
      ['router', 'fallback', ['failed.sequential.StageFailed']],
      ['swarm', 'fallback', ['failed.router.NoCapableAgent']],
      ['direct', 'fallback', ['failed.swarm.bad_request']],
    ]);
    expect(told.last('task.failed')?.data).toMatchObject({ code: 'server_down', message: 'The model could not be asked: server_down.' });
    expect(replay(told.history).kind).toBe('same');
  });
  it('by passing the work to and fro is stopped and followed too', () => {
    const told = analyzed(fit(['swarm', 0.9]));
    for (const to of [team[1], team[0], team[1]]) told.model('a0', modelAsks({ kind: 'transfer', to: to ?? null }));
    expect(decisions(told).at(-1)).toEqual(['direct', 'fallback', ['failed.swarm.HandoverLoop']]);
    told.model('a0');
    expect(told.workflow.phase).toBe('completed');
  });
  it('that the client chose is followed by direct alone', () => {
    const told = new Telling();
    told.tell({ ...submission({ pattern: 'router' }), environment: { ...environment, team } });
    for (const _ of [1, 2]) told.model('a0');
    expect(decisions(told).map(([pattern]) => pattern)).toEqual(['router', 'direct']);
  });
  it('of a child is followed by direct in that child; its parent need not know', () => {
    const told = new Telling();
    told.tell({ ...submission(), environment: { ...environment, team } });
    const errand = { kind: 'delegate', to: casting('creator@1'), taskBytes: 40, fingerprint: 'f1', pattern: 'router' } as const;
    told.model('a0', modelAsks(errand));
    for (const _ of [1, 2]) told.model('a0-1');
    expect(told.last('decision.made')?.data).toMatchObject({
      agent: 'a0-1',
      pattern: 'direct',
      chosenBy: 'fallback',
      reasons: ['failed.router.NoCapableAgent'],
    });
    told.model('a0-1');
    told.model('a0');
    expect(told.workflow.phase).toBe('completed');
  });
  it('for want of mandate is followed by nothing: that runs out with any pattern', () => {
    const told = analyzed(fit(['swarm', 0.9], ['router', 0.8]), { maxModelCalls: 1 });
    told.model('a0', modelSays('files__read'));
    told.answer(told.open('tool')[0], { kind: 'tool', isError: false, resultBytes: 10, truncated: false });
    expect(told.workflow).toMatchObject({ phase: 'failed', failure: { code: 'ModelCallBudgetExceeded' } });
    expect(decisions(told)).toHaveLength(1);
  });
  it('of a child at depth 2 cannot be one that needs children: it works directly', () => {
    const told = new Telling();
    told.tell({ ...submission({ pattern: 'direct', maxDepth: 1 }), environment: { ...environment, team } });
    told.model('a0', modelAsks({ kind: 'delegate', to: casting('creator@1'), taskBytes: 40, fingerprint: 'f1', pattern: 'parallel' }));
    expect(told.last('decision.made')?.data).toMatchObject({
      agent: 'a0-1',
      pattern: 'direct',
      chosenBy: 'parent',
      reasons: ['pattern.parallel.needs_children'],
    });
  });
});

describe('the patterns in a workflow', () => {
  const chosen = (pattern: PatternName, tuning = {}): Telling => {
    const told = new Telling();
    told.tell({ ...submission({ pattern, tuning }), environment: { ...environment, team: [...team, casting('reviewer@1', [])] } });
    return told;
  };
  it('sequential: the next one starts when the one before has answered, and hears its result', () => {
    const told = chosen('sequential');
    for (const [agent, after] of [
      ['a0-1', []],
      ['a0-2', ['a0-1']],
      ['a0-3', ['a0-2']],
    ] as const) {
      expect(told.agent(agent).granted.errand).toMatchObject({ task: { of: 'parent' }, after });
      told.model(agent);
    }
    expect(told.last('task.completed')?.data.answerAt).toBe((told.agent('a0-3').end as { answerAt: number }).answerAt);
  });
  it('parallel: all work at the same time; of five with a quorum of two the stragglers are cancelled', () => {
    const told = chosen('parallel', { mode: 'votes', votes: 5, policy: 'quorum', quorum: 2 });
    expect(
      told
        .open('llm')
        .map(({ agent }) => agent)
        .toSorted(),
    ).toEqual(['a0-1', 'a0-2', 'a0-3', 'a0-4', 'a0-5']);
    told.model('a0-5');
    expect(told.model('a0-2')).toEqual([
      'attempt.settled',
      'agent.ended',
      'mandate.released',
      'agent.stopped',
      'agent.stopped',
      'agent.stopped',
    ]);
    for (const agent of ['a0-1', 'a0-3', 'a0-4']) told.model(agent);
    expect(told.all('agent.ended').map(({ end }) => end.kind)).toEqual(['answered', 'answered', 'cancelled', 'cancelled', 'cancelled']);
    expect(told.workflow.phase).toBe('completed');
  });
  it('router: nobody but the chosen one is ever asked', () => {
    const told = chosen('router');
    told.model('a0', modelAsks({ kind: 'choose', to: team[1] ?? null }));
    told.model('a0');
    expect(told.workflow).toMatchObject({ phase: 'completed', stepCount: 2 });
    expect(told.workflow.agents.size).toBe(1);
  });
  it('orchestrator-workers: a plan with a circle is asked for again and a good one carried out', () => {
    const told = chosen('orchestrator-workers');
    const step = (id: string, ...after: string[]): object => ({ id, to: team[0], taskBytes: 9, fingerprint: `f-${id}`, after });
    const plans = (...steps: object[]): readonly string[] =>
      told.model('a0', modelAsks({ kind: 'plan', complete: false, steps: steps as never }));
    expect(plans(step('a', 'b'), step('b', 'a'))).toEqual(['attempt.settled', 'attempt.reserved']);
    plans(step('a'), step('b'), { ...step('c', 'a', 'b'), pattern: 'sequential' });
    told.model('a0-1');
    told.model('a0-2');
    expect(told.agent('a0-3')).toMatchObject({ granted: { errand: { after: ['a0-1', 'a0-2'] } }, decision: { pattern: 'sequential' } });
    for (const agent of ['a0-3-1', 'a0-3-2', 'a0-3-3']) told.model(agent);
    told.model('a0');
    expect(told.workflow.phase).toBe('completed');
  });
  it('evaluator-optimizer: improves once and is done', () => {
    const told = chosen('evaluator-optimizer');
    told.model('a0');
    told.model('a0', modelAsks({ kind: 'rate', rating: 'poor' }));
    const improved = told.workflow.version + 1;
    told.model('a0');
    told.model('a0', modelAsks({ kind: 'rate', rating: 'good' }));
    expect(told.last('task.completed')?.data.answerAt).toBe(improved);
  });
});
