import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runTask, startFileServer, type FileServer } from './file-server.ts';
import { expectedFacts, offlineTasks, treeOf, type FileTree } from './offline-tasks.ts';

const SIGNATURE = '(answered by rules: offline provider, no language model was used)';

/** A fact stands in an answer when no letter, digit or dash touches it. */
function says(answer: string, fact: string): boolean {
  const escaped = fact.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
  return new RegExp(`(?<![\\w/-])${escaped}(?![\\w/-])`).test(answer);
}

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
    const facts = expectedFacts(task, tree);
    expect(facts.present.filter((fact) => !says(answer, fact)), answer).toEqual([]);
    expect(facts.absent.filter((fact) => says(answer, fact)), answer).toEqual([]);
    if (facts.quotesFrom) {
      const quotes = [...answer.matchAll(/^- "(.*)" \(/gm)].map((match) => match[1] ?? '');
      expect(quotes).toHaveLength(facts.quotesFrom.count);
      for (const quote of quotes) expect(facts.quotesFrom.text).toContain(quote);
    }
    expect(answer.endsWith(SIGNATURE)).toBe(true);
    expect(turns).toBeGreaterThan(2);
    expect(widestTurn).toBeLessThanOrEqual(8);
  });
});
