import type { AgentSummary, AgentTree } from '@mandate/contracts';

/** The delegation tree of a task, as data, as text, as a Mermaid diagram. Pure: facts in, the same picture out. */
export interface AgentNode extends AgentSummary {
  readonly agents: AgentNode[];
}

/** The root with everybody under whoever sent them; null while there is no agent. */
export function nestAgents({ agents }: AgentTree): AgentNode | null {
  const sent = Map.groupBy(agents, (agent) => agent.parent);
  const under = (agent: AgentSummary): AgentNode => ({ ...agent, agents: (sent.get(agent.agent) ?? []).map(under) });
  const [root] = sent.get(null) ?? [];
  return root === undefined ? null : under(root);
}

/**
 * In ASCII, with what each agent spent:
 *
 *     wf_09_… completed: 3 agents, $0.0048 of $1.00
 *     a0 generalist@1, direct: answered, $0.0011 itself, $0.0048 in all, of $1.00
 *     |-- a0-1 researcher@1, direct: answered, $0.0037 of $0.33
 *     `-- a0-2 analyst@1, direct: failed (timeout), $0.00 of $0.33
 */
export function drawText(tree: AgentTree): string {
  const root = nestAgents(tree);
  if (root === null) return `${tree.workflow} ${tree.status}: no agent\n`;
  const { spent, granted } = root;
  const head = `${tree.workflow} ${tree.status}: ${counted(tree.agents.length, 'agent')}, ${dollars(spent.moneyMicroUsd)} of ${dollars(granted.moneyMicroUsd)}`;
  return [head, ...textLines(root, '', '')].map((line) => `${plain(line)}\n`).join('');
}

function textLines(agent: AgentNode, stem: string, below: string): string[] {
  return [
    `${stem}${sentence(agent)}`,
    ...agent.agents.flatMap((child, index) => {
      const isLast = index === agent.agents.length - 1;
      return textLines(child, `${below}${isLast ? '`-- ' : '|-- '}`, `${below}${isLast ? '    ' : '|   '}`);
    }),
  ];
}

const sentence = (agent: AgentNode): string =>
  [`${agent.agent} ${roles(agent)}, ${agent.pattern ?? 'undecided'}: ${standing(agent)}`, money(agent), ...remarks(agent)].join(', ');

const roles = ({ role, handedOver }: AgentSummary): string => [role, ...handedOver].join(' -> ');
const standing = ({ state, code }: AgentSummary): string => (code === null ? state : `${state} (${code})`);

function money({ ownSpent, spent, granted, agents }: AgentNode): string {
  const limit = dollars(granted.moneyMicroUsd);
  const all = dollars(spent.moneyMicroUsd);
  return agents.length === 0 ? `${all} of ${limit}` : `${dollars(ownSpent.moneyMicroUsd)} itself, ${all} in all, of ${limit}`;
}

function remarks({ reservedMicroUsd, steps, refusedChildren, after }: AgentNode): string[] {
  return [
    ...(reservedMicroUsd > 0 ? [`${dollars(reservedMicroUsd)} reserved`] : []),
    counted(steps, 'step'),
    ...(after.length > 0 ? [`after ${after.join(' and ')}`] : []),
    ...refusedChildren.map(({ code, count }) => `refused ${counted(count, 'child', 'children')} (${code})`),
  ];
}

/** A flowchart. A dotted arrow: its result stands in the task of the other. */
export function drawMermaid(tree: AgentTree): string {
  const lines = tree.agents.flatMap((agent) => [
    `  ${nodeId(agent.agent)}["${label(agent)}"]`,
    ...(agent.parent === null ? [] : [`  ${nodeId(agent.parent)} --> ${nodeId(agent.agent)}`]),
    ...agent.after.map((before) => `  ${nodeId(before)} -.-> ${nodeId(agent.agent)}`),
  ]);
  const classes = [...Map.groupBy(tree.agents, ({ state }) => state)].flatMap(([state, agents]) => [
    `  classDef ${state} ${COLOURS[state]}`,
    `  class ${agents.map(({ agent }) => nodeId(agent)).join(',')} ${state}`,
  ]);
  return [`flowchart TD`, ...lines, ...classes].map((line) => `${line}\n`).join('');
}

const COLOURS: Readonly<Record<AgentSummary['state'], string>> = {
  running: 'fill:#dbeafe,stroke:#1d4ed8,color:#111827',
  ending: 'fill:#fef3c7,stroke:#b45309,color:#111827',
  answered: 'fill:#dcfce7,stroke:#15803d,color:#111827',
  failed: 'fill:#fee2e2,stroke:#b91c1c,color:#111827',
  cancelled: 'fill:#e5e7eb,stroke:#4b5563,color:#111827',
};

const label = (agent: AgentSummary): string =>
  [
    `${agent.agent} ${roles(agent)}`,
    `${agent.pattern ?? 'undecided'}, ${standing(agent)}`,
    `${dollars(agent.spent.moneyMicroUsd)} of ${dollars(agent.granted.moneyMicroUsd)}`,
  ]
    .map(escaped)
    .join('<br/>');

/** Mermaid reads `--` as an arrow. */
const nodeId = (agent: string): string => agent.replaceAll('-', '_');
/** Mermaid's own way to write a character by its number; nothing in a label is markup. */
const escaped = (text: string): string => plain(text).replaceAll(/["`<>&#;]/g, (character) => `#${character.codePointAt(0)};`);
/** One line, and nothing that a terminal would act on. */
const plain = (text: string): string => text.replaceAll(/\p{Cc}/gu, ' ');

const counted = (n: number, one: string, many = `${one}s`): string => `${n} ${n === 1 ? one : many}`;

/** Keeps micro-dollars, shows at least cents. */
const dollars = (microUsd: number): string => `$${(microUsd / 1e6).toFixed(6).replace(/0{1,4}$/, '')}`;
