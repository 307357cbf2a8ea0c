import type { Effect } from '../workflow/steps.ts';
import { currentRoles, findRole, type Role, type RoleCatalogue, ROLE_CATALOGUE, STAGES } from './roles.ts';

/** What a task calls for, as its analysis says, and the tools that there are for it. */
export interface TeamNeed {
  readonly capabilities: readonly string[];
  readonly taskType: string;
  readonly tools: readonly ToolOnOffer[];
}

/** A description is somebody else's text: it is compared word by word and nothing more. */
export interface ToolOnOffer {
  readonly name: string;
  readonly description?: string;
  readonly effect: Effect;
}

export interface TeamMember {
  readonly role: Role;
  /** 0 to 1.5. */
  readonly score: number;
  /** Why it was taken, in facts. */
  readonly reasons: readonly string[];
  /** What is wrong with it, in facts: it found no tool for its work. */
  readonly warnings: readonly string[];
  /** Names of the tools that it may use, in the order in which they were offered. */
  readonly tools: readonly string[];
}

export interface Team {
  /** In the order in which their work makes sense. */
  readonly members: readonly TeamMember[];
  /** Needed capabilities that no member has. */
  readonly uncovered: readonly string[];
}

/** Agents of one team at most (spec/sources.md, section 2). */
export const MAX_TEAM = 5;

/** How much each part of a score counts, and what is added for a role that the task type calls for (spec/sources.md, section 2). */
export const TEAM_WEIGHTS = { overlap: 0.6, tools: 0.3, priority: 0.1, preferred: 0.5 } as const;

/**
 * Who should do it. Best score first, a role joins when it has a needed capability that nobody before it has; then, while
 * there is room, roles that the task type calls for. Nothing known of the task, or nobody fitting: the generalist alone.
 * Same need and catalogue: same team.
 */
export function assembleTeam(need: TeamNeed, catalogue: RoleCatalogue = ROLE_CATALOGUE, max: number = MAX_TEAM): Team {
  const needed = [...new Set(need.capabilities)];
  const tools = need.tools.map(readTool);
  const fallback = findRole('generalist', catalogue);
  const candidates = currentRoles(catalogue)
    .filter((role) => role.name !== fallback?.name)
    .map((role) => judge(role, needed, need.taskType, tools))
    .sort(byScore);
  const chosen = needed.length === 0 ? [] : choose(candidates, needed, Math.min(max, MAX_TEAM));
  if (chosen.length === 0 && fallback !== undefined && max > 0) chosen.push(asFallback(judge(fallback, needed, need.taskType, tools)));
  return {
    members: chosen.sort(byStage).map(memberOf),
    uncovered: needed.filter((capability) => !chosen.some(({ has }) => has.includes(capability))),
  };
}

interface Candidate {
  readonly role: Role;
  readonly score: number;
  /** The needed capabilities that it has. */
  readonly has: readonly string[];
  readonly preferred: boolean;
  readonly tools: readonly string[];
  readonly reasons: readonly string[];
}

interface ReadTool {
  readonly name: string;
  readonly effect: Effect;
  readonly words: readonly string[];
}

function judge(role: Role, needed: readonly string[], taskType: string, offered: readonly ReadTool[]): Candidate {
  const has = needed.filter((capability) => (role.capabilities as readonly string[]).includes(capability));
  const preferred = (role.preferredFor as readonly string[]).includes(taskType);
  const tools = scopeOf(role, offered);
  const parts = {
    overlap: needed.length === 0 ? 0 : has.length / needed.length,
    tools: tools.length === 0 ? 0 : 1,
    priority: role.priority / 5,
    preferred: preferred ? 1 : 0,
  };
  const score = (Object.keys(TEAM_WEIGHTS) as (keyof typeof TEAM_WEIGHTS)[]).reduce(
    (sum, part) => sum + TEAM_WEIGHTS[part] * parts[part],
    0,
  );
  return {
    role,
    // So that a score reads the same wherever it was added up.
    score: Math.round(score * 10_000) / 10_000,
    has,
    preferred,
    tools,
    reasons: [
      ...(has.length > 0 ? [`has ${has.length} of ${needed.length} needed capabilities: ${has.join(', ')}`] : []),
      ...(preferred ? [`called for by ${taskType}`] : []),
      ...(tools.length > 0 ? [`${tools.length} of ${offered.length} tools fit`] : []),
    ],
  };
}

function choose(candidates: readonly Candidate[], needed: readonly string[], max: number): Candidate[] {
  const chosen: Candidate[] = [];
  const covered = new Set<string>();
  for (const candidate of candidates) {
    if (chosen.length >= max || covered.size === needed.length) break;
    if (candidate.has.every((capability) => covered.has(capability))) continue;
    chosen.push(candidate);
    for (const capability of candidate.has) covered.add(capability);
  }
  const called = candidates.filter((candidate) => candidate.preferred && !chosen.includes(candidate));
  return [...chosen, ...called.slice(0, Math.max(0, max - chosen.length))];
}

const asFallback = (candidate: Candidate): Candidate => ({
  ...candidate,
  reasons: ['no other role is known to fit', ...candidate.reasons],
});

const memberOf = ({ role, score, reasons, tools }: Candidate): TeamMember => ({
  role,
  score,
  reasons,
  warnings: tools.length === 0 ? ['none of the tools fits this role; it works without tools'] : [],
  tools,
});

/** The tools of an offer that are this role's business. */
export const toolScope = (role: Role, offered: readonly ToolOnOffer[]): readonly string[] => scopeOf(role, offered.map(readTool));

function scopeOf({ toolWords, effects }: Role, offered: readonly ReadTool[]): readonly string[] {
  const isBusiness = ({ words }: ReadTool): boolean =>
    toolWords === 'any' || words.some((word) => toolWords.some((beginning) => word.startsWith(beginning)));
  return offered.filter((tool) => (effects === 'any' || tool.effect === 'read_only') && isBusiness(tool)).map(({ name }) => name);
}

/** Only so much of a description is read. In UTF-16 units. */
const MAX_DESCRIPTION = 2_000;

const readTool = ({ name, description = '', effect }: ToolOnOffer): ReadTool => ({
  name,
  effect,
  words: wordsOf(`${name} ${description.slice(0, MAX_DESCRIPTION)}`),
});

/** `files__readText` → files, read, text. */
const wordsOf = (text: string): readonly string[] => [
  ...new Set(
    text
      .replaceAll(/([a-z0-9])(?=[A-Z])/g, '$1 ')
      .toLowerCase()
      .match(/[a-z0-9]+/g) ?? [],
  ),
];

const byName = (a: Candidate, b: Candidate): number => (a.role.name < b.role.name ? -1 : a.role.name > b.role.name ? 1 : 0);

const byScore = (a: Candidate, b: Candidate): number => b.score - a.score || byName(a, b);

const byStage = (a: Candidate, b: Candidate): number => STAGES.indexOf(a.role.stage) - STAGES.indexOf(b.role.stage) || byScore(a, b);
