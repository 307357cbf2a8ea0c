import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { askedInText, MAX_ASK_LENGTH, MAX_ASKS, MAX_QUESTION_LENGTH, type TextAsk } from './asked-in-text.ts';
import { ROLE_CATALOGUE } from './roles.ts';

/** The asks without their places. */
const found = (text: string): readonly unknown[] => askedInText(text).map(({ start: _start, end: _end, ...ask }) => ask);
const delegate = (description: string, hours?: number): unknown => ({
  kind: 'delegate',
  description,
  ...(hours !== undefined && { hours }),
});
const useTool = (args: unknown, tool = 'read_files'): unknown => ({ kind: 'use_tool', server: 'fs', tool, args });
const malformed = (problem: string): unknown => ({ kind: 'malformed', problem });

describe('[delegate:description:hours]', () => {
  it.each([
    ['[delegate:Count the words:2]', delegate('Count the words', 2)],
    ['[delegate:Count the words]', delegate('Count the words')],
    ['[delegate:Count the words:1.5]', delegate('Count the words', 1.5)],
    ['[delegate:Count the words:.25]', delegate('Count the words', 0.25)],
    ['[delegate: Count the words : 2 h ]', delegate('Count the words', 2)],
    ['[Delegate:Count the words:2H]', delegate('Count the words', 2)],
    ['[delegate:Fix array[0] and matrix[i][j]:2.5]', delegate('Fix array[0] and matrix[i][j]', 2.5)],
    ['[delegate:Read [a:2]]', delegate('Read [a:2]')],
    ['[delegate:Compare a:b and c:d:3]', delegate('Compare a:b and c:d', 3)],
    ['[delegate:Say "it\'s done": twice:1]', delegate('Say "it\'s done": twice', 1)],
    ['[delegate:Replace "]" by "[" and `a[i` by `]`:1]', delegate('Replace "]" by "[" and `a[i` by `]`', 1)],
    ['[delegate:Cut the 5" pipe] and the 6" pipe', delegate('Cut the 5" pipe')],
    ['[delegate:Explain "why] not', delegate('Explain "why')],
    ['[delegate:First line\nsecond line:\n\nthird:0.5]', delegate('First line\nsecond line:\n\nthird', 0.5)],
    ['[delegate:Meet at 10:30]', delegate('Meet at 10:30')],
    ['[delegate:Report of the year:2024]', delegate('Report of the year:2024')],
    ['[delegate:Nothing:0]', delegate('Nothing:0')],
    ['[delegate:Later:-1]', delegate('Later:-1')],
    ['[delegate:Use 1e3:1e3]', delegate('Use 1e3:1e3')],
    ['[delegate:Ask [use-mcp:fs/read_files:{}] for it:1]', delegate('Ask [use-mcp:fs/read_files:{}] for it', 1)],
  ])('%j', (text, ask) => {
    expect(found(text)).toEqual([ask]);
  });

  it.each([
    ['[delegate:]', 'the description is empty'],
    ['[delegate: :2]', 'the description is empty'],
    ['[delegate:Fix a[0:2]', 'the closing bracket is missing'],
    ['[delegate:never closed', 'the closing bracket is missing'],
    [`[delegate:${'a'.repeat(MAX_ASK_LENGTH)}]`, 'the closing bracket is missing'],
  ])('%.40j is malformed', (text, problem) => {
    expect(found(text)).toEqual([malformed(problem)]);
  });

  it('that is never closed does not swallow the ask on a line below', () => {
    expect(found('[delegate:one\n[delegate:two:2]')).toEqual([malformed('the closing bracket is missing'), delegate('two', 2)]);
    expect(found('[delegate:one [delegate:inside]\n[delegate:two:2]')).toEqual([
      malformed('the closing bracket is missing'),
      delegate('two', 2),
    ]);
  });

  it('may hold a code fence, whose brackets do not count', () => {
    expect(found('[delegate:Repair this:\n```ts\na[0\n```\n:2]')).toEqual([delegate('Repair this:\n```ts\na[0\n```', 2)]);
  });
});

describe('[use-mcp:server/tool:{json}]', () => {
  it.each([
    ['[use-mcp:fs/read_files:{"paths":["a","b"]}]', useTool({ paths: ['a', 'b'] })],
    ['[use-mcp:fs/read_files:{"path":"a]b}c[d{e"}]', useTool({ path: 'a]b}c[d{e' })],
    ['[use-mcp:fs/read_files:{"path":"a\\"]}"}]', useTool({ path: 'a"]}' })],
    ['[use-mcp:fs/read_files:{"path":"a\\\\"}]', useTool({ path: 'a\\' })],
    ['[use-mcp:fs/read_files: {\n  "a": [[1], {"b": []}]\n} ]', useTool({ a: [[1], { b: [] }] })],
    ['[USE-MCP:fs/read_files:{}]', useTool({})],
    ['[use-mcp:fs/read_files]', useTool({})],
    ['[use-mcp:fs/list.all-2:{}]', useTool({}, 'list.all-2')],
  ])('%j', (text, ask) => {
    expect(found(`Before ${text} after`)).toEqual([ask]);
  });

  it.each([
    ['[use-mcp:fs:{}]', 'it does not name server/tool'],
    ['[use-mcp:/tool:{}]', 'it does not name server/tool'],
    ['[use-mcp:fs/a b:{}]', 'it does not name server/tool'],
    ['[use-mcp:fs/read:]', 'the arguments are not a JSON object'],
    ['[use-mcp:fs/read:["a"]]', 'the arguments are not a JSON object'],
    ['[use-mcp:fs/read:{"a":1]', 'the arguments are not valid JSON'],
    ['[use-mcp:fs/read:{"a":1', 'the JSON of the arguments does not end'],
    ['[use-mcp:fs/read:{"a":"]}', 'the JSON of the arguments does not end'],
    ['[use-mcp:fs/read:{"a":1} and more', 'the closing bracket is missing'],
    ["[use-mcp:fs/read:{'a':1}]", 'the arguments are not valid JSON'],
    ['[use-mcp:fs/read:{"a":1)}]', 'the arguments are not valid JSON'],
    [`[use-mcp:fs/read:${'{"a":'.repeat(33)}1${'}'.repeat(33)}]`, 'the arguments are nested deeper than 32'],
    [`[use-mcp:fs/read:{"a":"${'b'.repeat(MAX_ASK_LENGTH)}"}]`, 'the JSON of the arguments does not end'],
  ])('%.50j is malformed', (text, problem) => {
    expect(found(text)).toEqual([malformed(problem)]);
  });

  it('may nest its arguments 32 deep', () => {
    expect(found(`[use-mcp:fs/read_files:${'{"a":'.repeat(32)}1${'}'.repeat(32)}]`)).toMatchObject([{ kind: 'use_tool' }]);
  });

  it('gives arguments as JSON has them, also under names that mean something to a program', () => {
    const [ask] = askedInText('[use-mcp:fs/read:{"__proto__":{"polluted":true}}]');
    expect(ask?.kind === 'use_tool' && Object.keys(ask.args)).toEqual(['__proto__']);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });
});

describe('@Role: question', () => {
  const consult = (role: string, question: string): unknown => ({ kind: 'consult', role, question });

  it.each([
    ['@Analyst: what is the mean?', consult('analyst@1', 'what is the mean?')],
    ['@ANALYST: what is the mean?', consult('analyst@1', 'what is the mean?')],
    ['  @coder: does it compile?', consult('developer@1', 'does it compile?')],
    ['@Web Specialist: is it online?', consult('web_specialist@1', 'is it online?')],
    ['@analyst@1: what is the mean?', consult('analyst@1', 'what is the mean?')],
    ['Text.\n@Security: is a[0] safe: yes or no?\r\n\r\nMore text.', consult('security@1', 'is a[0] safe: yes or no?')],
    ['@QA: check\n- one\n- two\n\nThat is all.', consult('qa@1', 'check\n- one\n- two')],
    ['@QA:\ncheck this\n   \nThat is all.', consult('qa@1', 'check this')],
    [
      '@QA: does this hold?\n```ts\na();\n\nb();\n```\nSay why.\n\nEnd.',
      consult('qa@1', 'does this hold?\n```ts\na();\n\nb();\n```\nSay why.'),
    ],
    ['@QA: please [delegate:check it:1]', consult('qa@1', 'please [delegate:check it:1]')],
  ])('%j', (text, ask) => {
    expect(found(text)).toEqual([ask]);
  });

  it('ends where a line begins with another ask', () => {
    expect(found('@QA: one?\n@Analyst: two?\n[delegate:three:3]\n@lawyer: four?')).toEqual([
      consult('qa@1', 'one?'),
      consult('analyst@1', 'two?'),
      delegate('three', 3),
    ]);
  });

  it.each([
    '@lawyer: may I?',
    'Dear @Analyst: hello',
    'me@analyst: hello',
    '@Analyst, hello',
    '@param: x',
    '    @Analyst: indented code',
    '@Analyst\n: x',
  ])('%j is no ask', (text) => {
    expect(found(text)).toEqual([]);
  });

  it.each([
    ['@Analyst:', 'the question is empty'],
    ['@Analyst: \n\nwhat is the mean?', 'the question is empty'],
    [`@Analyst: ${'a'.repeat(MAX_QUESTION_LENGTH + 1)}`, `the question is longer than ${MAX_QUESTION_LENGTH} characters`],
  ])('%.40j is malformed', (text, problem) => {
    expect(found(text)).toEqual([malformed(problem)]);
  });

  it('knows the named agents of a tenant', () => {
    const named = [{ name: 'tax_advisor', version: 3, role: 'analyst@1' }];
    expect(askedInText('@Tax Advisor: may I?', ROLE_CATALOGUE, named)).toMatchObject([{ role: 'tax_advisor@3', question: 'may I?' }]);
  });
});

describe('what is shown and not asked', () => {
  const asks = '[delegate:x:1]\n@Analyst: y?\n[use-mcp:fs/read:{}]';

  it.each([
    ['a fence', `\`\`\`\n${asks}\n\`\`\``],
    ['a fence of tildes', `~~~\n${asks}\n~~~`],
    ['a fence with a language', `\`\`\`text\n${asks}\n\`\`\``],
    ['an indented fence', `   \`\`\`\n${asks}\n   \`\`\``],
    ['a fence in a list', `- \`\`\`\n${asks}\n  \`\`\``],
    ['a longer fence that holds a shorter one', `\`\`\`\`\n\`\`\`\n${asks}\n\`\`\`\n${asks}\n\`\`\`\``],
    ['a fence that only its own kind closes', `\`\`\`\n~~~\n${asks}`],
    ['a fence that is not closed', `\`\`\`\n${asks}`],
    ['a fence with Windows line ends', `\`\`\`\r\n${asks.replaceAll('\n', '\r\n')}\r\n\`\`\`\r\n`],
    ['quoted lines', `> ${asks.replaceAll('\n', '\n> ')}`],
  ])('%s', (_, text) => {
    expect(found(text)).toEqual([]);
    expect(found(asks)).toHaveLength(3);
  });

  it('ends with the fence', () => {
    expect(found('```\n[delegate:shown]\n```\n[delegate:asked]\n```\n[delegate:shown]\n```')).toEqual([delegate('asked')]);
    expect(found('```inline``` [delegate:asked]')).toEqual([delegate('asked')]);
  });
});

describe('however many there are', () => {
  it(`reads ${MAX_ASKS} and says that there are more`, () => {
    const asks = askedInText('[delegate:x] '.repeat(MAX_ASKS + 5));
    expect(asks.slice(0, MAX_ASKS).every(({ kind }) => kind === 'delegate')).toBe(true);
    expect(asks.slice(MAX_ASKS)).toEqual([
      { kind: 'malformed', problem: 'more than 32 asks in one answer', start: 32 * 13, end: 32 * 13 + 12 },
    ]);
    expect(askedInText('[delegate:x] '.repeat(MAX_ASKS))).toHaveLength(MAX_ASKS);
  });
});

/** Text that is full of what the syntax is made of. */
const pieces = fc
  .array(
    fc.oneof(
      {
        weight: 3,
        arbitrary: fc.constantFrom('[delegate:', '[use-mcp:', 'fs/read:', '@Analyst:', '@lawyer:', ':2]', ':1.5]', '{"a":', '}]'),
      },
      {
        weight: 3,
        arbitrary: fc.constantFrom('[', ']', '{', '}', '"', '`', ':', '\\', '\n', '\r\n', '\n\n', ' ', '> ', '```', '~~~', '\u0000'),
      },
      { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 8 }) },
    ),
    { maxLength: 120 },
  )
  .map((parts) => parts.join(''));

/** Brackets that close, at any depth, between words. */
const { balanced } = fc.letrec<{ balanced: string; part: string }>((tie) => ({
  part: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.stringMatching(/^[a-z ,:.;!?'éß漢😀]{1,12}$/u),
    tie('balanced').map((inner) => `[${inner}]`),
  ),
  balanced: fc.array(tie('part'), { minLength: 1, maxLength: 5 }).map((parts) => parts.join('')),
}));

describe('in any text', () => {
  it('finds come in order, within the text, none inside another, and never throw', () => {
    fc.assert(
      fc.property(pieces, (text) => {
        const asks = askedInText(text);
        let last = 0;
        for (const { start, end } of asks) {
          expect(start).toBeGreaterThanOrEqual(last);
          expect(end).toBeGreaterThan(start);
          last = end;
        }
        expect(last).toBeLessThanOrEqual(text.length);
        expect(asks.filter(({ kind }) => kind !== 'malformed').length).toBeLessThanOrEqual(MAX_ASKS);
        expect(askedInText(text)).toEqual(asks);
      }),
      { numRuns: 1_000 },
    );
  });

  it('an ask says nothing that does not stand between its start and its end', () => {
    fc.assert(
      fc.property(pieces, (text) => {
        for (const ask of askedInText(text)) {
          const words = ask.kind === 'malformed' ? '' : wordsOf(ask);
          expect(text.slice(ask.start, ask.end)).toContain(words);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  it('a description with balanced brackets comes back whole, with its hours', () => {
    fc.assert(
      fc.property(
        balanced.filter((text) => text.trim() !== ''),
        fc.option(fc.integer({ min: 1, max: 400_000 }).map((n) => n / 400)),
        (description, hours) => {
          const text = `Well: [delegate:${description}:${hours ?? 'x'}] and so on`;
          const whole = hours === null ? `${description}:x` : description;
          expect(found(text)).toEqual([delegate(whole.trim(), hours ?? undefined)]);
        },
      ),
    );
  });

  it('any JSON object comes back whole, on one line or many', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 5 })), fc.constantFrom(0, 2), (args, indent) => {
        const json = JSON.stringify(args, undefined, indent);
        const [ask, more] = askedInText(`[use-mcp:fs/read:${json}]`);
        expect(more).toBeUndefined();
        expect(ask?.kind === 'use_tool' && JSON.stringify(ask.args)).toBe(JSON.stringify(JSON.parse(json)));
      }),
    );
  });

  it('what is fenced asks for nothing', () => {
    fc.assert(
      fc.property(pieces, (text) => {
        const fence = '`'.repeat(200);
        expect(askedInText(`${fence}\n${text}\n${fence}`)).toEqual([]);
      }),
    );
  });
});

/** Would take minutes if any part were quadratic: the test runner's time limit is what fails. */
describe('in a large text', () => {
  const SIZE = 300_000;
  it.each(
    [
      ...['[delegate:', '[use-mcp:', '[use-mcp:a/b:{"', '[use-mcp:a/b:{"a":[', '[delegate:"', '[delegate:`a'],
      ...['[', ']', '[[]', '"', '`', '"\n', ' ', ' \n', '\t', '\n', '@', '@a ', '@a\n', '@Analyst:\n \n', '@analyst: a\n  ', '@lawyer:\n'],
      ...['```\n', '```', '~~~ \n', '> \n', '1. ', '- - ', '`` ', '\\', '{', '[delegate:x]', '[delegate:x\n', '1'],
    ].map((unit) => [unit]),
  )('of %j', (unit) => {
    for (const prefix of ['', '[delegate:', '[use-mcp:a/b:', '[use-mcp:a/b:{"a":"', '@Analyst: ', '@Analyst:\n', '```'])
      expect(askedInText(prefix + unit.repeat(SIZE / unit.length)).length).toBeLessThanOrEqual(MAX_ASKS + 1);
  });
});

function wordsOf(ask: Exclude<TextAsk, { kind: 'malformed' }>): string {
  if (ask.kind === 'delegate') return ask.description;
  return ask.kind === 'consult' ? ask.question : `${ask.server}/${ask.tool}`;
}
