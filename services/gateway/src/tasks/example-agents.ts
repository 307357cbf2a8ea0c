/** For tests: the agents of one delegated task. */
import type { AgentSummary } from '@mandate/contracts';

const figures = (moneyMicroUsd: number) => ({ moneyMicroUsd, tokens: 100, modelCalls: 1, toolCalls: 0 });

function agent(id: string, role: string, change: Partial<AgentSummary> = {}): AgentSummary {
  return {
    agent: id,
    parent: 'a0',
    depth: id.split('-').length - 1,
    role: `${role}@1`,
    handedOver: [],
    tier: 'medium',
    pattern: 'direct',
    chosenBy: 'parent',
    tried: ['direct'],
    state: 'answered',
    code: null,
    message: null,
    granted: { ...figures(330_000), children: 5, deadlineAt: 9_000_000 },
    tools: ['files__read'],
    spent: figures(0),
    ownSpent: figures(0),
    reservedMicroUsd: 0,
    ownReservedMicroUsd: 0,
    steps: 1,
    children: 0,
    refusedSteps: [],
    refusedChildren: [],
    warned: [],
    after: [],
    answer: { version: 8, bytes: 20, by: id },
    grantedVersion: 2,
    grantedAt: 1_000,
    endedVersion: 8,
    endedAt: 2_000,
    ...change,
  };
}

export const exampleAgents: readonly AgentSummary[] = [
  agent('a0', 'generalist', {
    parent: null,
    chosenBy: 'analysis',
    pattern: 'orchestrator-workers',
    granted: { ...figures(1_000_000), children: 10, deadlineAt: 9_000_000 },
    ownSpent: figures(1_100),
    spent: figures(4_800),
    steps: 3,
    children: 2,
    refusedChildren: [{ code: 'RoleUnknown', count: 1 }],
  }),
  agent('a0-1', 'researcher', { ownSpent: figures(700), spent: figures(3_700), children: 1, steps: 2 }),
  agent('a0-1-1', 'researcher', { parent: 'a0-1', ownSpent: figures(3_000), spent: figures(3_000), handedOver: ['web_specialist@1'] }),
  agent('a0-2', 'analyst', {
    state: 'failed',
    code: 'timeout',
    after: ['a0-1'],
    answer: null,
    reservedMicroUsd: 0,
    spent: figures(0),
  }),
];
