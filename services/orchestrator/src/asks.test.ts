import { describe, expect, it } from 'vitest';
import { fingerprint, readCalls } from './asks.ts';
import { Cast } from './cast.ts';

const OFFERED = [
  { name: 'files__read', description: 'Reads a file.', effect: 'read_only' as const, inputSchema: {}, tenants: ['acme'] },
  { name: 'files__write', description: 'Writes a file.', effect: 'idempotent' as const, inputSchema: {}, tenants: ['acme'] },
];
const poet = { name: 'poet', version: 2, role: 'creator@1', instruction: 'You rhyme.', tools: [] };
const reader = {
  cast: new Cast({ tools: OFFERED }, OFFERED, [poet]),
  granted: new Set(['files__read', 'files__write']),
  key: Buffer.alloc(32, 1),
};
const read = (text: string, ...calls: { tool: string; args: unknown }[]): ReturnType<typeof readCalls> =>
  readCalls({ text, calls: calls.map((call, n) => ({ callId: `c${n}`, ...call })) }, reader);

describe('what a model asks for', () => {
  it('is read into facts, and its words stay in the content', () => {
    const { facts } = read('', {
      tool: 'delegate',
      args: { agent: 'Researcher', task: 'Find the secret', share: 20, tools: ['files__read', 'rm'] },
    });
    expect(facts[0]).toMatchObject({
      tool: 'delegate',
      ask: { kind: 'delegate', to: { role: 'researcher@1' }, taskBytes: 15, sharePercent: 20, tools: ['files__read', null] },
    });
    expect(JSON.stringify(facts)).not.toContain('secret');
  });

  it.each([
    ['delegate', {}, 'task'],
    ['delegate', { task: 'x', share: 101 }, 'share'],
    ['delegate', { task: 'x'.repeat(8_001) }, 'task'],
    ['consult', { agent: 'analyst' }, 'question'],
    ['plan', { steps: [{ id: 'a b', agent: 'analyst', task: 'x' }] }, 'steps.0.id'],
    ['rate', { rating: 'superb' }, 'rating'],
    ['choose', 'analyst', ''],
  ])('is invalid as %s %j, and the problem names the place and never the value', (tool, args, path) => {
    const ask = read('', { tool, args }).facts[0]?.ask;
    expect(ask).toMatchObject({ kind: 'invalid', problem: expect.stringContaining(path === '' ? tool : `at ${path}`) });
    expect(JSON.stringify(ask)).not.toContain('superb');
  });

  it('names nobody when the role is not known, and a tenant’s own agent when it is', () => {
    const { facts } = read('', { tool: 'consult', args: { agent: 'wizard', question: 'q' } }, { tool: 'choose', args: { agent: 'poet' } });
    expect(facts.map(({ ask }) => (ask !== undefined && 'to' in ask ? (ask.to?.role ?? null) : undefined))).toEqual([null, 'poet@2']);
  });

  it('may stand in its text, brackets and all, and becomes a call like any other', () => {
    const { facts, content } = read('Well. [delegate:Sort the list [a, b]: by size:1.5]\n\n@Analyst: is it right?');
    expect(facts.map(({ tool, ask }) => [tool, ask?.kind])).toEqual([
      ['delegate', 'delegate'],
      ['consult', 'consult'],
    ]);
    expect(content.calls[0]).toMatchObject({ tool: 'delegate', args: { task: 'Sort the list [a, b]: by size' } });
  });

  it('may be a tenant’s own agent in its text too', () => {
    const { facts } = read('@poet: does it rhyme?');
    expect(facts).toMatchObject([{ tool: 'consult', ask: { kind: 'consult', to: { role: 'poet@2' } } }]);
  });

  it('names no tool for a role that may never have it: one that only reads, or an agent that was given fewer', () => {
    const tools = ['files__read', 'files__write'];
    const asked = ['researcher', 'poet', 'creator'].map((agent) => ({ tool: 'delegate', args: { agent, task: 'x', tools } }));
    expect(read('', ...asked).facts.map(({ ask }) => (ask?.kind === 'delegate' ? ask.tools : undefined))).toEqual([
      ['files__read', null],
      [null, null],
      ['files__read', 'files__write'],
    ]);
  });

  it('is nothing but a tool without a name when it is no tool of ours', () => {
    expect(read('', { tool: 'rm -rf', args: {} }).facts).toEqual([{ tool: null, argsBytes: 2 }]);
  });
});

describe('a fingerprint', () => {
  it('is the same for the same words however they are written, and another one under another key', () => {
    const one = fingerprint('Please COUNT the words!', reader.key);
    expect(one).toBe(fingerprint('count words', reader.key));
    expect(one).not.toBe(fingerprint('count words', Buffer.alloc(32, 2)));
    expect(one).toMatch(/^[0-9a-f]{32}$/);
  });
});
