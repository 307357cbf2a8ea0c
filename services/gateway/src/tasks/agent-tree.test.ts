import { expect, test } from 'vitest';
import type { AgentTree } from '@mandate/contracts';
import { drawMermaid, drawText, nestAgents } from './agent-tree.ts';
import { exampleAgents } from './example-agents.ts';

const treeOf = (agents: AgentTree['agents']): AgentTree => ({ workflow: 'wf_09_x', status: 'completed', version: 9, agents });
const tree = treeOf([...exampleAgents]);

test('everybody stands under whoever sent them', () => {
  const root = nestAgents(tree);
  expect(root?.agents.map(({ agent }) => agent)).toEqual(['a0-1', 'a0-2']);
  expect(root?.agents[0]?.agents.map(({ agent, agents }) => [agent, agents])).toEqual([['a0-1-1', []]]);
  expect(nestAgents(treeOf([]))).toBeNull();
});

test('the text is ASCII and shows the money: its own, and with all below', () => {
  const text = drawText(tree);
  expect(text.split('\n')).toEqual([
    'wf_09_x completed: 4 agents, $0.0048 of $1.00',
    'a0 generalist@1, orchestrator-workers: answered, $0.0011 itself, $0.0048 in all, of $1.00, 3 steps, refused 1 child (RoleUnknown)',
    '|-- a0-1 researcher@1, direct: answered, $0.0007 itself, $0.0037 in all, of $0.33, 2 steps',
    '|   `-- a0-1-1 researcher@1 -> web_specialist@1, direct: answered, $0.003 of $0.33, 1 step',
    '`-- a0-2 analyst@1, direct: failed (timeout), $0.00 of $0.33, 1 step, after a0-1',
    '',
  ]);
  expect(/^[\x20-\x7e\n]*$/.test(text)).toBe(true);
});

test('the diagram has a node for each agent, an arrow for each child, and its colour', () => {
  expect(drawMermaid(tree).split('\n')).toEqual([
    'flowchart TD',
    '  a0["a0 generalist@1<br/>orchestrator-workers, answered<br/>$0.0048 of $1.00"]',
    '  a0_1["a0-1 researcher@1<br/>direct, answered<br/>$0.0037 of $0.33"]',
    '  a0 --> a0_1',
    '  a0_1_1["a0-1-1 researcher@1 -#62; web_specialist@1<br/>direct, answered<br/>$0.003 of $0.33"]',
    '  a0_1 --> a0_1_1',
    '  a0_2["a0-2 analyst@1<br/>direct, failed (timeout)<br/>$0.00 of $0.33"]',
    '  a0 --> a0_2',
    '  a0_1 -.-> a0_2',
    expect.stringMatching(/^ {2}classDef answered fill:/),
    '  class a0,a0_1,a0_1_1 answered',
    expect.stringMatching(/^ {2}classDef failed fill:/),
    '  class a0_2 failed',
    '',
  ]);
});

test('a role cannot say more than its name: no line, no markup, nothing for a terminal', () => {
  const [root] = exampleAgents;
  if (root === undefined) throw new Error('no agents');
  const hostile = treeOf([{ ...root, role: 'x"]\n  click a0 "javascript:1" <b>\u001b[2J' }]);
  expect(drawText(hostile).split('\n')).toHaveLength(3);
  expect(drawText(hostile)).not.toContain('\u001b');
  const label = drawMermaid(hostile).split('\n')[1] ?? '';
  expect(label.match(/"/g)).toHaveLength(2);
  expect(label).not.toContain('<b>');
});

test('a task without agents is said to have none', () => {
  expect(drawText(treeOf([]))).toBe('wf_09_x completed: no agent\n');
  expect(drawMermaid(treeOf([]))).toBe('flowchart TD\n');
});
