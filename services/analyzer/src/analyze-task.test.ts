import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { analyzeTask } from './analyze-task.ts';
import { CAPABILITIES, INTENTS, TASK_TYPES, type Intent, type TaskFlags, type TaskType } from './task-analysis.ts';

const flagsOf = (text: string) => {
  const { flags } = analyzeTask(text);
  return (Object.keys(flags) as (keyof TaskFlags)[]).filter((flag) => flags[flag]);
};

describe('intent and task type', () => {
  it.each<[string, Intent, TaskType]>([
    ['Fix the login bug in auth.py', 'bug_fixing', 'code_development'],
    ['Create a new REST API endpoint for user management', 'code_development', 'code_development'],
    ['Review the code in payment_service.js for security issues', 'code_review', 'code_development'],
    ['Write unit tests for the User class', 'testing', 'code_development'],
    ['Create documentation for the payment module', 'documentation', 'content_creation'],
    ['Document the API endpoints', 'documentation', 'content_creation'],
    ['Deploy the application to production', 'deployment', 'code_development'],
    ['Set up a CI/CD pipeline with Docker', 'deployment', 'code_development'],
    ['Optimize the slow database queries', 'optimization', 'code_development'],
    ['Make the page load faster', 'optimization', 'code_development'],
    ['Design the architecture of a notification system', 'design', 'reasoning'],
    ['Refactor the UserService class to reduce duplication', 'refactoring', 'code_development'],
    ['Clean up the legacy code in utils.ts', 'refactoring', 'code_development'],
    ['Plan the next sprint and prioritise the backlog', 'planning', 'project_management'],
    ['Analyze the sales data in sales.csv and find trends', 'analysis', 'data_analysis'],
    ['The app crashes with a null pointer exception when I click save', 'bug_fixing', 'code_development'],
    ['Please look over my pull request', 'code_review', 'code_development'],
    ['Increase test coverage of the billing module', 'testing', 'code_development'],
    ['What is the capital of France?', 'general_assistance', 'information_retrieval'],
    ['List the files in docs', 'general_assistance', 'file_operations'],
    ['Send an email to the team about the outage', 'general_assistance', 'communication'],
    ['Scrape the product prices from https://shop.example and take a screenshot', 'general_assistance', 'web_automation'],
    ['Research the literature on sleep and memory, with sources', 'analysis', 'research'],
    ['Write a blog post about gardening', 'general_assistance', 'content_creation'],
    ['Why is the sky blue?', 'general_assistance', 'reasoning'],
  ])('%s', (text, intent, taskType) => {
    const analysis = analyzeTask(text);
    expect([analysis.intent, analysis.taskType, analysis.language]).toEqual([intent, taskType, 'en']);
    expect(analysis.confidence).toBeGreaterThan(0.45);
  });

  it('names at most two further intents, the stronger first', () => {
    const { intent, secondaryIntents } = analyzeTask('Fix the crash bug, then write unit tests, then deploy the release');
    expect(intent).toBe('bug_fixing');
    expect([...secondaryIntents].sort()).toEqual(['deployment', 'testing']);
  });
});

describe('whole words only', () => {
  it('takes no "and" out of understand, brand and standards (D12)', () => {
    const { complexity, estimatedSteps } = analyzeTask('Help me to understand brand standards');
    expect([complexity.tier, estimatedSteps]).toEqual(['simple', 1]);
  });

  it('takes no "code" out of decoder (D12)', () => {
    const { intent, taskType, reasons } = analyzeTask('Explain the decoder');
    expect([intent, taskType]).toEqual(['general_assistance', 'reasoning']);
    expect(reasons.some(({ ruleId }) => ruleId.includes('code_development'))).toBe(false);
  });

  it('takes no technology out of login and feedback (D18)', () => {
    const claims = analyzeTask('Collect login feedback').capabilities.map(({ name }) => name);
    expect(claims).not.toContain('data');
    expect(claims).not.toContain('development');
  });

  it.each([
    ['Find files that mention "bug"', 'bug_fixing'],
    ['List the files in test', 'testing'],
    ['List the files in src/deploy/fix.ts', 'deployment'],
    ['Find the file named test', 'testing'],
  ] as const)('takes a name or a quotation for no statement: %s', (text, intent) => {
    expect(analyzeTask(text).intent).not.toBe(intent);
  });
});

describe('flags', () => {
  it.each<[string, (keyof TaskFlags)[]]>([
    ['Debug the checkout, urgent!', ['urgent']],
    ['This is not urgent, fix the login page', []],
    ['Hotfix: the shop is down, fix it immediately', ['urgent']],
    ['Compare three JSON files and then write a report', ['ordered', 'staged']],
    ['1. Read a.md\n2. Count its words', ['ordered', 'staged']],
    ['Add a test before the release', ['ordered']],
    ['Check the build; if it is red then stop it', ['ordered']],
    ['Process each file independently and in parallel', ['parallelizable', 'independentParts']],
    ['Fix the test that fails when two jobs run in parallel', ['parallelizable']],
    ['Improve the essay until it is perfect', ['iterative', 'refining']],
    ['Translate the letter into Polish', []],
    ['Improve the readability of utils.ts', ['refining']],
    ['Find the right specialist for my back pain', ['choosesSpecialist']],
    ['Write a poem about the right person', []],
    ['Greet the customer and hand the conversation over to billing', ['handsOver']],
    ["Don't escalate it", []],
    ['Summarise the support conversation in chat.txt', ['conversation']],
    ['How do I escalate a ticket?', ['asking']],
    ['Delete the old records, but ask me first', ['needsHuman']],
    ['List the files in docs', []],
  ])('%s', (text, flags) => {
    expect(flagsOf(text)).toEqual(flags);
  });
});

describe('complexity', () => {
  it.each([
    ['Explain the decoder', 'simple'],
    ['Implement OAuth login with Google, then add tests, then deploy it to staging', 'moderate'],
    [
      'Design the architecture, implement the services, write integration tests, document the API and deploy it to production with encryption',
      'complex',
    ],
    [
      'Build a distributed event sourcing system from scratch with encryption and zero downtime migration. It must be scalable and must ensure compliance. First design the architecture, then implement the services, then write integration tests, then document the API, then deploy it to kubernetes and monitor it.',
      'expert',
    ],
  ])('%s', (text, tier) => {
    expect(analyzeTask(text).complexity.tier).toBe(tier);
  });

  const steps = [
    'read a.md',
    'count the words',
    'write a report',
    'fix the bug',
    'deploy the service to production',
    'test it',
    'ask me',
    'compare b.md with c.md',
    'refactor the parser',
    'send it to the team',
  ];

  it('never falls when a step is added', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(...steps), { minLength: 1, maxLength: 12 }),
        fc.constantFrom(', then ', ' and ', '. ', ', ', '; ', '\n- '),
        fc.constantFrom(...steps),
        (first, joint, step) => {
          const before = analyzeTask(first.join(joint));
          const after = analyzeTask([...first, step].join(joint));
          expect(after.complexity.score).toBeGreaterThanOrEqual(before.complexity.score);
          expect(after.estimatedSteps).toBeGreaterThanOrEqual(before.estimatedSteps);
        },
      ),
    );
  });
});

describe('capabilities', () => {
  it('asks for what the words ask for, the most needed first', () => {
    const { capabilities } = analyzeTask('Compare the CSV files in data/ and send a summary to the team');
    const names = capabilities.map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(['analysis', 'data', 'file_system', 'communication']));
    expect(capabilities.map(({ priority }) => priority)).toEqual(
      capabilities.map(({ priority }) => priority).toSorted((left, right) => right - left),
    );
  });
});

describe('hostile and foreign text', () => {
  it.each([
    '',
    '   ',
    '\u0000\u0007\u001b[31m',
    '列出所有文件',
    'Liste alle Dateien im Ordner docs auf',
    'Écris un poème pour les enfants',
    'asdf qwer zxcv',
    'قائمة الملفات في المجلد',
    '😀😀😀',
  ])('claims nothing about %j', (text) => {
    const analysis = analyzeTask(text);
    expect([analysis.language, analysis.intent, analysis.capabilities.length]).toEqual(['unknown', 'general_assistance', 0]);
    expect(analysis.confidence).toBeLessThanOrEqual(0.1);
  });

  it.each([
    ['words', 'fix the bug and then test it, '.repeat(3000)],
    ['one word', 'a'.repeat(65_536)],
    ['dots', '.'.repeat(65_536)],
    ['quotes', '" '.repeat(32_768)],
    ['file names', 'a.'.repeat(32_768)],
    ['apostrophes', "'a".repeat(32_768)],
    ['items', '\n- '.repeat(22_000)],
    ['white space', ' \n'.repeat(32_768)],
    ['RTL marks', '\u202efix\u202c '.repeat(12_000)],
    ['combining marks', 'e\u0301\u0301\u0301'.repeat(16_000)],
  ])('looks only at the first 32 Ki characters, and ends: %s', (_, text) => {
    // Measured 1 to 10 ms. A pattern that goes back and forth over such a text would not end within the test's time.
    const analysis = analyzeTask(text);
    expect(analysis.truncated).toBe(true);
    expect(analysis.reasons.length).toBeLessThan(400);
    expect(analysis.reasons.every(({ end }) => end <= 32_768)).toBe(true);
  });

  const words = fc.constantFrom(
    'fix',
    'the',
    'bug',
    'and',
    'then',
    'test',
    '"',
    "don't",
    'a.md',
    'https://x.example',
    '\n1. ',
    '\n',
    '\u202e',
    '😀',
    'urgent',
    'not',
    '。',
    'e\u0301',
    'until',
  );
  const anyText = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 400 }),
    fc.string({ maxLength: 400 }),
    fc.array(words, { maxLength: 80 }).map((list) => list.join(' ')),
  );

  it('never throws, keeps to the vocabulary, and points every reason at words of the text', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const analysis = analyzeTask(text);
        expect(INTENTS).toContain(analysis.intent);
        expect(TASK_TYPES).toContain(analysis.taskType);
        expect(analysis.secondaryIntents.length).toBeLessThanOrEqual(2);
        expect(analysis.secondaryIntents).not.toContain(analysis.intent);
        expect(analysis.capabilities.every(({ name }) => CAPABILITIES.includes(name))).toBe(true);
        expect(Number.isInteger(analysis.complexity.score) && analysis.complexity.score >= 0 && analysis.complexity.score <= 10).toBe(true);
        expect(analysis.confidence >= 0.1 && analysis.confidence <= 0.95).toBe(true);
        for (const { start, end, ruleId, claim } of analysis.reasons) {
          expect(0 <= start && start < end && end <= text.length).toBe(true);
          expect(text.slice(start, end).trim()).not.toBe('');
          expect(ruleId && claim).not.toBe('');
        }
        expect(analyzeTask(text)).toEqual(analysis);
      }),
      { numRuns: 500 },
    );
  });
});

describe('one analysis', () => {
  it('reads a connective as a connective: the same text always gives the same verdict (D13, D15)', () => {
    const long = analyzeTask('Find cats and dogs before lunch');
    const short = analyzeTask('Find cats dogs lunch');
    expect(long.flags.ordered).toBe(true);
    expect(short.flags.ordered).toBe(false);
  });
});
