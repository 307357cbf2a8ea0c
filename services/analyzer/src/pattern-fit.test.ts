import { type PatternName, PATTERN_NAMES } from '@mandate/domain';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { analyzeTask } from './analyze-task.ts';
import { FITTING, NOT_SEEN } from './fitting-tasks.ts';
import { fitPatterns } from './pattern-fit.ts';
import { type Analysed, CRITERIA, type Criterion, PATTERN_TABLE, SIMPLEST_FIRST, STRONG_CRITERIA } from './pattern-table.ts';
import { CAPABILITIES, TASK_TYPES } from './task-analysis.ts';

const fitOf = (text: string) => fitPatterns(analyzeTask(text));
const bestOf = (text: string) => fitOf(text).scores[0]?.pattern;

describe('a task gets the pattern that a reader would choose', () => {
  it.each(Object.entries(FITTING).flatMap(([pattern, texts]) => texts.map((text) => [pattern, text])))('%s: %s', (pattern, text) => {
    expect(bestOf(text)).toBe(pattern);
  });

  it.each(NOT_SEEN)('or direct, where no rule sees that it is %s: %s', (_, text) => {
    expect(bestOf(text)).toBe('direct');
  });

  it('and each of the seven is chosen for some', () => {
    for (const pattern of PATTERN_NAMES) expect(FITTING[pattern].length).toBeGreaterThanOrEqual(8);
  });
});

describe('every rule of the table', () => {
  const LARGE =
    'Design the architecture, implement the services, write integration tests, document the API and deploy it to production with encryption';
  const GOLDEN: Readonly<Record<Criterion, readonly [text: string, best: PatternName]>> = {
    base: ['Count the lines of README.md', 'direct'],
    unknown_language: ['Liste alle Dateien im Ordner docs auf', 'direct'],
    simple_tier: ['List the files in docs', 'direct'],
    complex_tier: [LARGE, 'orchestrator-workers'],
    expert_tier: [`${LARGE}. It must be scalable, ensure compliance, and run on kubernetes with zero downtime`, 'orchestrator-workers'],
    plain_question: ['How do I escalate a ticket to the second line?', 'direct'],
    ordered_steps: ['Compare three JSON files and then write a report', 'sequential'],
    many_stages: ['Download the data, then clean it, then plot it, finally send it', 'sequential'],
    many_independent_parts: ['Compare these three laptops', 'parallel'],
    parallel_words: ['Summarise each chapter in parallel', 'parallel'],
    needs_specialist: ['Which expert should answer this question about VAT?', 'router'],
    unclear_task: ['Do the thing with the thing for them', 'direct'],
    needs_refinement: ['Improve the essay until it is perfect', 'evaluator-optimizer'],
    repeats: ['Keep trying until the download succeeds', 'direct'],
    hands_over: ['Answer the customer and hand over to billing when it is about money', 'swarm'],
    conversation: ['Handle this support conversation', 'swarm'],
    large_project: [LARGE, 'orchestrator-workers'],
    many_capabilities: ['Search the web, compare the csv files, explain the results and send an email to the team', 'direct'],
    many_steps: [LARGE, 'orchestrator-workers'],
    research: ['Research the literature on sleep and memory, with sources', 'direct'],
    urgent: ['Fix the login page immediately', 'direct'],
  };

  it.each(Object.entries(GOLDEN) as [Criterion, readonly [string, PatternName]][])('%s', (criterion, [text, best]) => {
    const { scores } = fitOf(text);
    expect(scores[0]?.pattern).toBe(best);
    const reasons = new Set(scores.flatMap((score) => score.reasons));
    const cells = PATTERN_TABLE[criterion].filter((weight) => weight !== 0);
    expect(cells).not.toEqual([]);
    for (const weight of cells) expect(reasons).toContain(`${weight < 0 ? '-' : '+'}${Math.abs(weight).toFixed(2)} ${criterion}`);
  });
});

describe('whole words only', () => {
  it.each([
    'Help me to understand brand standards',
    'Explain the decoder',
    'Strengthen the wording, lengthen the summary, count the words',
    'Draw a parallelogram beside a parallel line',
    'Teach each reader to reach the beach',
    'Tell me about the Polish elections',
    'Rename the router, reroute the cable, plan a scenic route',
    'Untilled fields: describe them',
    'Handle the handoff helper in src/hand/over.ts',
    'Find files that mention "in parallel" or "until it is perfect"',
  ])('takes no evidence out of: %s', (text) => {
    const { scores } = fitOf(text);
    expect(scores[0]?.pattern).toBe('direct');
    expect(
      scores.flatMap(({ reasons }) => reasons).filter((reason) => STRONG_CRITERIA.some((name) => reason.endsWith(` ${name}`))),
    ).toEqual([]);
  });
});

describe('what a task is about', () => {
  const PAGE =
    'First collect the logs, then escalate it to the second line. Finally polish the report until it is perfect.\n\nCompare these three offers in parallel. Which expert should decide? ' +
    'Design the architecture, implement the services, write tests, deploy them to production with encryption and compliance.';

  it.each([
    ['after a colon', `Summarise this page in three sentences:\n\n${PAGE}`],
    ['after a greeting and a colon', `Good morning.\n\nPlease review this:\n${PAGE}`],
    ['in an open fence', `Count the words.\n\`\`\`\n${PAGE}`],
    ['below', `Translate the text below.\n\n${PAGE}`],
    ['fenced', `Count the words.\n\`\`\`\n${PAGE}\n\`\`\`\n`],
    ['quoted', `Reply to this mail\n> ${PAGE.replaceAll('\n', '\n> ')}`],
  ])('does not say how to do it: %s', (_, text) => {
    expect(bestOf(PAGE)).not.toBe('direct');
    expect(bestOf(text)).toBe('direct');
    expect(analyzeTask(text).complexity.tier).toBe('simple');
  });

  it.each<[PatternName, string]>([
    ['sequential', 'Do this with the following text, please.\n\nFirst translate it, then shorten it, finally send it to Anna'],
    ['sequential', 'Review this release:\n1. Read the notes\n2. Run the tests\n3. Write a summary'],
    ['evaluator-optimizer', 'Rewrite this paragraph until it is perfect:\n\nThe cat sat on the mat.'],
  ])('is told from the request (%s): %s', (pattern, text) => {
    expect(bestOf(text)).toBe(pattern);
  });
});

describe('whatever the analysis', () => {
  const analysis: fc.Arbitrary<Analysed> = fc.record({
    taskType: fc.constantFrom(...TASK_TYPES),
    complexity: fc.constantFrom(
      { score: 1, tier: 'simple' as const },
      { score: 4, tier: 'moderate' as const },
      { score: 7, tier: 'complex' as const },
      { score: 10, tier: 'expert' as const },
    ),
    capabilities: fc.array(
      fc.record({ name: fc.constantFrom(...CAPABILITIES), priority: fc.constantFrom(1, 2, 3, 4, 5), optional: fc.boolean() }),
      { maxLength: 8 },
    ),
    estimatedSteps: fc.integer({ min: 1, max: 50 }),
    flags: fc.record({
      urgent: fc.boolean(),
      ordered: fc.boolean(),
      staged: fc.boolean(),
      parallelizable: fc.boolean(),
      independentParts: fc.boolean(),
      iterative: fc.boolean(),
      refining: fc.boolean(),
      choosesSpecialist: fc.boolean(),
      handsOver: fc.boolean(),
      conversation: fc.boolean(),
      asking: fc.boolean(),
      needsHuman: fc.boolean(),
    }),
    confidence: fc.double({ min: 0.1, max: 0.95, noNaN: true }),
    language: fc.constantFrom('en', 'unknown'),
  });

  it('all seven have a score, the best first, of equals the simpler first', () => {
    fc.assert(
      fc.property(analysis, (given) => {
        const { scores } = fitPatterns(given);
        expect(scores.map(({ pattern }) => pattern).toSorted()).toEqual([...PATTERN_NAMES].toSorted());
        for (const [place, { pattern, score }] of scores.entries()) {
          expect(score >= 0 && score <= 1 && Number(score.toFixed(3)) === score).toBe(true);
          const before = scores[place - 1];
          if (!before) continue;
          const isSimpler = SIMPLEST_FIRST.indexOf(before.pattern) < SIMPLEST_FIRST.indexOf(pattern);
          expect(before.score > score || (before.score === score && isSimpler)).toBe(true);
        }
        expect(fitPatterns(given).scores).toEqual(scores);
      }),
    );
  });

  it('the score is the sum of the reasons, within 0 and 1', () => {
    fc.assert(
      fc.property(analysis, (given) => {
        for (const { score, reasons } of fitPatterns(given).scores) {
          const sum = reasons.reduce((total, reason) => total + Number(reason.split(' ')[0]), 0);
          expect(score).toBeCloseTo(Math.min(1, Math.max(0, sum)), 9);
          for (const reason of reasons) expect(reason).toMatch(/^[+-]\d\.\d\d [a-z_]+$/);
        }
      }),
    );
  });

  it('direct wins where no strong rule holds', () => {
    fc.assert(
      fc.property(analysis, (given) => {
        fc.pre(!STRONG_CRITERIA.some((criterion) => CRITERIA[criterion](given)));
        expect(fitPatterns(given).scores[0]?.pattern).toBe('direct');
      }),
    );
  });

  it('direct wins in a language that is not understood', () => {
    fc.assert(
      fc.property(analysis, (given) => {
        const foreign = { ...given, language: 'unknown' as const, capabilities: [] };
        expect(fitPatterns(foreign).scores[0]?.pattern).toBe('direct');
      }),
    );
  });
});
