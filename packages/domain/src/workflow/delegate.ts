import { childId, stepId } from '../ids.ts';
import {
  CHILD_DEADLINE_MS,
  closingReserve,
  costMicroUsd,
  type Figures,
  fits,
  likelyTokens,
  type Limits,
  MAX_CHILDREN,
  mostTokens,
  portion,
} from '../mandate/mandate.ts';
import type { OwedChild } from '../patterns/pattern.ts';
import { NEEDS_CHILDREN, promptBytesOfWork } from '../patterns/patterns.ts';
import { refusal, type Refusal } from '../refusals.ts';
import { landingMs, MIN_OUTPUT_TOKENS } from './attempts.ts';
import type { Casting, GrantedTool } from './steps.ts';
import type { Story } from './story.ts';
import type { Agent, Workflow } from './workflow.ts';

/**
 * Delegation: a child gets its mandate out of its parent's, at most `MAX_DEPTH` deep. The parent is the stored one, so no
 * message can say how deep it stands. Every refusal is told to whoever asked; nothing was spent on it.
 */
export function sendChild(story: Story, parent: Agent, owed: OwedChild): void {
  const to = owed.to;
  const no =
    refuseDelegation(story.workflow, parent, owed) ??
    (to === null ? refusal('RoleUnknown', 'There is no such role to delegate to.') : undefined);
  if (no !== undefined || to === null) return refuse(story, parent, owed, no ?? refusal('RoleUnknown', ''));
  const tools = scopeOf(parent, to, owed);
  if ('code' in tools) return refuse(story, parent, owed, tools);
  const limits = limitsOf(story, parent, owed);
  const short = 'code' in limits ? limits : tooLittle(parent, to, owed, limits);
  if ('code' in limits || short !== undefined)
    return refuse(story, parent, owed, 'code' in limits ? limits : (short ?? refusal('DelegationBudgetExceeded', '')));
  grantChild(story, parent, owed, { to, tools, limits });
}

function grantChild(
  story: Story,
  parent: Agent,
  owed: OwedChild,
  { to, tools, limits }: { readonly to: Casting; readonly tools: readonly GrantedTool[]; readonly limits: Limits },
): void {
  const agent = childId(parent.id, parent.children + 1);
  const { catalogHash, model, timing, edition, delegation } = parent.granted;
  story.tell({
    type: 'mandate.granted',
    data: {
      agent,
      parent: parent.id,
      depth: parent.depth + 1,
      role: to.role,
      limits,
      tools,
      catalogHash: tools.length === 0 ? null : catalogHash,
      promptBaseBytes: to.baseBytes,
      model,
      timing,
      edition,
      tier: to.tier,
      errand: { task: owed.task, taskBytes: owed.taskBytes, after: owed.after, slot: owed.slot },
      fingerprint: owed.fingerprint === '' ? parent.granted.fingerprint : owed.fingerprint,
      closing: closingReserve(limits, model.worstPrice),
      delegation,
    },
  });
  const alone = NEEDS_CHILDREN.has(owed.pattern) && limits.children === 0;
  story.tell({
    type: 'decision.made',
    data: {
      agent,
      pattern: alone ? 'direct' : owed.pattern,
      chosenBy: 'parent',
      reasons: alone ? [`pattern.${owed.pattern}.needs_children`] : ['parent'],
      weighed: [],
      alternatives: [],
      team: parent.decision?.team ?? [],
      tuning: parent.decision?.tuning ?? {},
    },
  });
}

function refuse(story: Story, parent: Agent, owed: OwedChild, { code, message }: Refusal): void {
  const call = 'call' in owed.slot ? owed.slot.call : null;
  story.tell({
    type: 'step.refused',
    data: { agent: parent.id, step: stepId(parent.id, parent.stepCount + 1), code, message, call, slot: owed.slot },
  });
}

/** Depth, number, circles and context, before any money is looked at. Texts: spec/sources.md, section 1. */
function refuseDelegation(workflow: Workflow, parent: Agent, owed: OwedChild): Refusal | undefined {
  const { maxDepth, maxAgents } = parent.granted.delegation;
  if (parent.depth + 1 > maxDepth)
    return refusal('DelegationDepthExceeded', `Delegation depth limit (${maxDepth}) reached. Cannot delegate further.`);
  if (parent.children >= parent.mandate.limits.children)
    return refusal('TooManyDelegations', `Too many delegations (${parent.children + 1}). Maximum: ${parent.mandate.limits.children}`);
  if (workflow.agents.size - 1 >= maxAgents)
    return refusal('TooManyDelegations', `Too many delegations (${workflow.agents.size}). Maximum: ${maxAgents}`);
  if (owed.asked && owed.to !== null && isCycle(workflow, parent, owed.to.role, owed.fingerprint))
    return refusal(
      'DelegationCycleDetected',
      `Delegation cycle detected. ${nameOf(owed.to.role)} is already at work on this task further up.`,
    );
  if (!owed.asked || parent.work === undefined) return undefined;
  return refuseContext(
    likelyTokens(promptBytesOfWork(parent.work)),
    owed.estimateTokens ?? childEstimate(owed.taskBytes),
    parent.mandate.limits.contextTokens,
  );
}

/** What a child is reckoned to bring into the context, when nobody said (spec/sources.md, section 1). */
const childEstimate = (taskBytes: number): number => Math.ceil(taskBytes / 4) + 5_000;

/** Before delegating: what the parent has read and what the child will need must fit into one context. */
export function refuseContext(parentTokens: number, childTokens: number, limit: number): Refusal | undefined {
  return parentTokens + childTokens <= limit
    ? undefined
    : refusal('ContextBudgetExceeded', `Agent context budget (${limit / 1000}k tokens) exceeded. Simplify subtask.`);
}

const nameOf = (role: string): string => role.slice(0, role.indexOf('@') < 0 ? undefined : role.indexOf('@'));

/**
 * Whether somebody on the way up is already at work on this: the same role on the same words, or the same words under a
 * second name. Ids are no help: every child has a new one.
 */
function isCycle(workflow: Workflow, parent: Agent, role: string, fingerprint: string): boolean {
  if (fingerprint === '') return false;
  let seen = 0;
  for (
    let agent: Agent | undefined = parent;
    agent !== undefined;
    agent = agent.parent === null ? undefined : workflow.agents.get(agent.parent)
  ) {
    if (agent.granted.fingerprint !== fingerprint) continue;
    if (nameOf(agent.granted.role) === nameOf(role)) return true;
    seen += 1;
  }
  return seen > 1;
}

/** Tools only become fewer on the way down, and at depth 2 they only read unless the tenant says otherwise. */
function scopeOf(parent: Agent, to: Casting, owed: OwedChild): readonly GrantedTool[] | Refusal {
  const own = parent.granted.tools.filter(({ name }) => owed.scope?.includes(name) ?? true);
  const mayUse = own.filter((tool) => parent.depth + 1 < 2 || parent.granted.delegation.deepest === 'any' || tool.effect === 'read_only');
  const { tools } = owed;
  if (tools === undefined) return mayUse.filter(({ name }) => to.tools.includes(name));
  if (tools.some((name) => name === null || !own.some((tool) => tool.name === name)))
    return refusal('ToolNotAllowed', 'A tool was asked for the child that the parent does not have, or that the role may not use.');
  const scope = mayUse.filter(({ name }) => tools.includes(name));
  return scope.length === new Set(tools).size
    ? scope
    : refusal('ToolNotAllowed', `Agents at depth ${parent.depth + 1} may only read; a tool was asked for that does more.`);
}

function limitsOf(story: Story, parent: Agent, owed: OwedChild): Limits | Refusal {
  const kept = parent.granted.closing;
  const left = portion(parent.mandate, kept, 1);
  const figures = shareOf(left, portion(parent.mandate, kept, Math.min(owed.of, roomFor(story.workflow, parent) + 1)), owed);
  if (!fits(figures, left)) {
    return refusal(
      'DelegationBudgetExceeded',
      `The child was to get ${figures.moneyMicroUsd} micro-USD and ${figures.tokens} tokens; ${left.moneyMicroUsd} and ${left.tokens} are left of the mandate.`,
    );
  }
  const deadlineAt = Math.min(parent.mandate.limits.deadlineAt - landingMs(parent), story.now + CHILD_DEADLINE_MS);
  if (deadlineAt <= story.now) return refusal('DeadlineExceeded', 'The deadline of the mandate has passed.');
  const depth = parent.depth + 1;
  return {
    ...figures,
    children: depth < parent.granted.delegation.maxDepth ? (MAX_CHILDREN[depth] ?? 0) : 0,
    contextTokens: parent.mandate.limits.contextTokens,
    deadlineAt,
  };
}

/** How many more children it may have: whoever cannot be sent inherits nothing. */
const roomFor = (workflow: Workflow, parent: Agent): number =>
  Math.min(parent.mandate.limits.children - parent.children, parent.granted.delegation.maxAgents - workflow.agents.size + 1);

function shareOf(left: Figures, part: Figures, { sharePercent, moneyMicroUsd }: OwedChild): Figures {
  if (sharePercent !== undefined) {
    const share = (figure: number): number => Math.floor((figure * sharePercent) / 100);
    return {
      moneyMicroUsd: share(left.moneyMicroUsd),
      tokens: share(left.tokens),
      modelCalls: share(left.modelCalls),
      toolCalls: share(left.toolCalls),
    };
  }
  return moneyMicroUsd === undefined ? part : { ...part, moneyMicroUsd };
}

/** A child that could not even ask once is not sent. */
function tooLittle(parent: Agent, to: Casting, owed: OwedChild, limits: Limits): Refusal | undefined {
  const { worstPrice, maxOutputTokens } = parent.granted.model;
  const output = Math.min(MIN_OUTPUT_TOKENS, maxOutputTokens);
  const input = mostTokens(to.baseBytes + owed.taskBytes, 2);
  const first: Figures = { moneyMicroUsd: costMicroUsd(worstPrice, input, output), tokens: input + output, modelCalls: 1, toolCalls: 0 };
  if (fits(first, limits)) return undefined;
  return refusal(
    'DelegationBudgetExceeded',
    `The child would get ${limits.moneyMicroUsd} micro-USD, ${limits.tokens} tokens and ${limits.modelCalls} model calls; its first call needs up to ${first.moneyMicroUsd} micro-USD and ${first.tokens} tokens.`,
  );
}
