import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { answerOffline, type ModelMessage } from '../../services/llm-router/src/providers/offline/answer-offline.ts';
import { runTask, startFileServer, type FileServer } from './file-server.ts';
import { answerProblems, expectedFacts, SIGNATURE, offlineTasks, treeOf, type FileTree } from './offline-tasks.ts';

describe('thirty tasks through the real file server', () => {
  const servers = new Map<string, { server: FileServer; tree: FileTree }>();

  beforeAll(async () => {
    for (const task of offlineTasks) {
      const key = JSON.stringify(task.tree);
      if (servers.has(key)) continue;
      const tree = treeOf(task);
      servers.set(key, { tree, server: await startFileServer(tree) });
    }
  }, 60_000);

  afterAll(async () => {
    await Promise.all([...servers.values()].map(({ server }) => server.stop()));
  });

  it.each(offlineTasks.map((task) => [task.id, task.task, task] as const))('%s: %s', async (_id, words, task) => {
    const { server, tree } = servers.get(JSON.stringify(task.tree)) ?? {};
    if (!server || !tree) throw new Error('no server for this tree');
    const { answer, turns, widestTurn } = await runTask(server, words);
    expect(answerProblems(answer, expectedFacts(task, tree)), answer).toEqual([]);
    expect(turns).toBeGreaterThan(2);
    expect(widestTurn).toBeLessThanOrEqual(8);
  });
});

describe('the real file server where things go wrong', () => {
  let server: FileServer;

  beforeAll(async () => {
    const long = Array.from({ length: 300 }, (_, index) => `row ${index} ${'pad '.repeat(index % 9)}`).join('\n');
    server = await startFileServer({ 'docs/long.md': long, 'docs/part/deep.md': 'deep water\n', 'a.txt': 'one\r\ntwo\r\n' });
  });

  afterAll(() => server.stop());

  it('reads a file whole although results are cut', async () => {
    const { answer, calls } = await runTask(server, 'How many lines has docs/long.md?', { maxResultBytes: 3000 });
    expect(answer).toContain('docs/long.md: 300 lines');
    expect(calls.filter(({ args }) => 'tail' in (args as object)).length).toBeGreaterThan(0);
  });

  it('says that a figure is partial where windows do not reach', async () => {
    const { answer } = await runTask(server, 'How many lines has docs/long.md?', { maxResultBytes: 400 });
    expect(answer).toMatch(/at least \d+ lines \(partly read\)/);
  });

  it('may not leave the workspace, and says so', async () => {
    const { answer } = await runTask(server, 'Read /etc/hostname');
    expect(answer).toContain('Access denied');
  });

  it('finds a file deeper than written', async () => {
    const { answer } = await runTask(server, 'Show deep.md');
    expect(answer).toContain('> deep water');
    expect(answer).toContain('By "deep.md" I understood docs/part/deep.md');
  });

  it('counts lines that end in CR LF', async () => {
    expect((await runTask(server, 'Count the lines in a.txt')).answer).toContain('a.txt: 2 lines');
  });
});

describe('any words and any results', () => {
  const words = fc.constantFrom(
    'list',
    'count',
    'the',
    'words',
    'in',
    'docs',
    'a.md',
    '"x y"',
    'and',
    'then',
    'which',
    'file',
    'mentions',
    'most',
    'compare',
    'with',
    'b.md',
    'summarise',
    'first',
    '3',
    'lines',
    '*.ts',
    'value of',
    'package.json',
    ',',
    '?',
    '\n- ',
    'let other agents',
    'for each file',
    'with a budget of $5',
    'c.md',
  );
  const task = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 200 }),
    fc.array(words, { maxLength: 25 }).map((list) => list.join(' ')),
  );
  const result = fc.record({
    text: fc.oneof(
      fc.string({ maxLength: 60 }),
      fc.constantFrom(
        'Allowed directories:\n/w',
        '[FILE] a.md\n[DIR] docs',
        '[{"name":"a.md","type":"file"}]',
        'isDirectory: true',
        'isDirectory: false\nsize: 5',
        '[truncated: 3 of 99 bytes shown]',
        'abc\n[truncated: 3 of 99999999 bytes shown]',
        'null',
        'Agent analyst@1 (a0-1) answered:\na.md: 3 words',
        'Agent analyst@1 (a0-2) failed (DeadlineExceeded): x',
        'Refused (DelegationBudgetExceeded). 5 are left.',
        '[1,null]',
        '{"a":{"b":1}}',
      ),
    ),
    isError: fc.boolean(),
  });

  it('never throws, ends, and signs its answer', () => {
    fc.assert(
      fc.property(task, fc.array(result, { minLength: 1, maxLength: 12 }), (words, results) => {
        const { answer, widestTurn } = finalAnswer(words, results);
        expect(answer.endsWith(SIGNATURE)).toBe(true);
        expect(widestTurn).toBeLessThanOrEqual(8);
      }),
      { numRuns: 300 },
    );
  });
});

/** Runs a task against results that have nothing to do with it. */
function finalAnswer(words: string, results: readonly { text: string; isError: boolean }[]): { answer: string; widestTurn: number } {
  const messages: ModelMessage[] = [{ role: 'user', text: words }];
  const names = ['list_allowed_directories', 'list_directory', 'directory_tree', 'search_files', 'get_file_info', 'read_text_file'];
  const tools = ['delegate', ...names.map((name) => `files__${name}`)].map((name) => ({ name, description: '', inputSchema: {} }));
  let used = 0;
  let widestTurn = 0;
  for (let turns = 0; turns < 120; turns += 1) {
    const turn = answerOffline({ system: '', messages, tools, maxOutputTokens: 1000 });
    if (turn.finishReason === 'stop') return { answer: turn.text, widestTurn };
    widestTurn = Math.max(widestTurn, turn.toolCalls.length);
    messages.push({ role: 'assistant', text: '', toolCalls: turn.toolCalls });
    for (const { callId, tool } of turn.toolCalls) {
      messages.push({ role: 'tool', callId, tool, ...(results[used % results.length] ?? { text: '', isError: true }) });
      used += 1;
    }
  }
  throw new Error('no answer after 120 turns');
}
