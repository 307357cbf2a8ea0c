/** The agents of a task as a tree, with the money in it: worked out from the task's events alone. */
import type { TimelineEvent } from './gateway-client.ts';
import { facts, number, usd, word } from './timeline.ts';

/** An agent with everything under it, in the order in which it happened. */
export interface AgentNode {
  readonly id: string;
  readonly depth: number;
  /** `analyst@1`; after a hand-over all that had the work, in order. */
  readonly roles: readonly string[];
  /** After a fallback all that were tried, in order. */
  readonly patterns: readonly string[];
  /** `completed`, `answered`, `failed (CostBudgetExceeded)`, …; `at work` while it has not ended. */
  readonly ended: string;
  /** With what the agents under it spent; undefined while it is at work. */
  readonly spentMicroUsd: number | undefined;
  readonly grantedMicroUsd: number;
  /** Model calls and tool calls of its own, each counted once however often it was tried. */
  readonly steps: number;
  readonly under: readonly (AgentNode | Refused)[];
}

/** Something that it was not allowed. */
export interface Refused {
  readonly what: 'delegation' | 'call' | 'step';
  readonly code: string;
  readonly message: string;
}

/** One line of a drawn tree. */
export interface TreeLine {
  readonly text: string;
  readonly tone: 'plain' | 'quiet' | 'good' | 'bad';
}

type Draft = { -readonly [Key in keyof AgentNode]: AgentNode[Key] extends readonly (infer Item)[] ? Item[] : AgentNode[Key] } & {
  readonly seen: Set<string>;
};

/** The root with all agents under it; undefined before a mandate was granted. */
export function delegationTree(events: readonly TimelineEvent[]): AgentNode | undefined {
  const agents = new Map<string, Draft>();
  let root: Draft | undefined;
  for (const { type, data } of events) {
    if (type === 'mandate.granted') {
      const granted = begun(data);
      agents.set(granted.id, granted);
      agents.get(word(data['parent']))?.under.push(granted);
      root ??= granted;
    } else if (root !== undefined) hear(agents.get(word(data['agent'])) ?? root, type, data);
  }
  return root;
}

function begun(data: TimelineEvent['data']): Draft {
  return {
    id: word(data['agent']),
    depth: number(data['depth']),
    roles: [word(data['role'])],
    patterns: [],
    ended: 'at work',
    spentMicroUsd: undefined,
    grantedMicroUsd: number(facts(data['limits'])['moneyMicroUsd']),
    steps: 0,
    under: [],
    seen: new Set(),
  };
}

function hear(agent: Draft, type: string, data: TimelineEvent['data']): void {
  switch (type) {
    case 'decision.made':
      agent.patterns.push(word(data['pattern']));
      return;
    case 'agent.handed_over':
      agent.roles.push(word(facts(data['to'])['role']));
      return;
    case 'attempt.reserved':
      agent.seen.add(word(data['step']));
      agent.steps = agent.seen.size;
      return;
    case 'step.refused':
      agent.under.push({
        what: data['slot'] ? 'delegation' : data['call'] ? 'call' : 'step',
        code: word(data['code']),
        message: word(data['message']),
      });
      return;
    case 'mandate.topped_up':
      agent.grantedMicroUsd += number(facts(data['added'])['moneyMicroUsd']);
      return;
    case 'agent.ended': {
      const end = facts(data['end']);
      return finish(agent, word(end['kind']), end['code'], data);
    }
    case 'task.completed':
    case 'task.failed':
    case 'task.cancelled':
      return finish(agent, type.slice('task.'.length), data['code'], data);
  }
}

function finish(agent: Draft, how: string, code: unknown, data: TimelineEvent['data']): void {
  agent.ended = code === undefined ? how : `${how} (${word(code)})`;
  agent.spentMicroUsd = number(facts(data['spent'])['moneyMicroUsd']);
}

/** Characters of a refusal's message. */
const MESSAGE = 110;

/** Draws a tree: a heading, one line for each agent, and one for each refusal where it happened. */
export function drawTree(root: AgentNode): readonly TreeLine[] {
  const rows = rowsOf(root, '', '');
  const cells = [HEADING, ...rows.flatMap((row) => ('cells' in row ? [row.cells] : []))];
  const widths = HEADING.map((_, column) => Math.max(...cells.map((cell) => cell[column]?.length ?? 0)));
  const line = (cell: readonly string[]): string =>
    cell
      .map((text, column) => (column >= RIGHT_FROM ? text.padStart(widths[column] ?? 0) : text.padEnd(widths[column] ?? 0)))
      .join('  ')
      .trimEnd();
  return [
    { text: line(HEADING), tone: 'quiet' },
    ...rows.map((row): TreeLine => ('cells' in row ? { text: line(row.cells), tone: row.tone } : row)),
  ];
}

const HEADING = ['agent', 'depth', 'pattern', 'ended', 'spent', 'granted', 'steps'] as const;
/** Figures stand to the right. */
const RIGHT_FROM = 4;

type Row = TreeLine | { readonly cells: readonly string[]; readonly tone: TreeLine['tone'] };

function rowsOf(agent: AgentNode, branch: string, below: string): readonly Row[] {
  const { id, depth, roles, patterns, ended, spentMicroUsd, grantedMicroUsd, steps } = agent;
  const money = spentMicroUsd === undefined ? '' : usd(spentMicroUsd);
  const cells = [
    `${branch}${id} ${roles.join(' → ')}`,
    String(depth),
    patterns.join(' → '),
    ended,
    money,
    usd(grantedMicroUsd),
    String(steps),
  ];
  const under = agent.under.flatMap((child, index): readonly Row[] => {
    const isLast = index === agent.under.length - 1;
    const [turn, on] = isLast ? ['└─ ', '   '] : ['├─ ', '│  '];
    if ('id' in child) return rowsOf(child, below + turn, below + on);
    return [{ text: `${below}${turn}✗ ${child.what} refused: ${child.code} (${clipped(child.message)})`, tone: 'bad' }];
  });
  return [{ cells, tone: toneOf(ended) }, ...under];
}

function toneOf(ended: string): TreeLine['tone'] {
  if (ended === 'completed' || ended === 'answered') return 'good';
  return ended === 'at work' ? 'plain' : 'bad';
}

const clipped = (message: string): string => (message.length > MESSAGE ? `${message.slice(0, MESSAGE)}…` : message);
