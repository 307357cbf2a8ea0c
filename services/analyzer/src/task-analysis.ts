import type { Capability, TaskType } from '@mandate/domain';

export { CAPABILITIES, type Capability, TASK_TYPES, type TaskType } from '@mandate/domain';

/** What software work is wanted. */
export const INTENTS = [
  'code_development',
  'bug_fixing',
  'code_review',
  'testing',
  'documentation',
  'planning',
  'design',
  'deployment',
  'analysis',
  'refactoring',
  'optimization',
  'general_assistance',
] as const;
export type Intent = (typeof INTENTS)[number];

/** 0–2, 3–5, 6–8 and 9–10 on the score. */
export type ComplexityTier = 'simple' | 'moderate' | 'complex' | 'expert';

/** How a task is to be run; each is claimed only where words of the task say so. */
export interface TaskFlags {
  readonly urgent: boolean;
  /** Any word of order, "before lunch" too. */
  readonly ordered: boolean;
  /** One step is announced after another: "then", "finally", a numbered list. */
  readonly staged: boolean;
  /** A word that allows parts to be done at once. */
  readonly parallelizable: boolean;
  /** The parts are said to be independent, or counted and told apart: "compare these three". */
  readonly independentParts: boolean;
  /** To be done again until something holds. */
  readonly iterative: boolean;
  /** Something that exists is to become better. */
  readonly refining: boolean;
  /** One of several experts is to be found for it. */
  readonly choosesSpecialist: boolean;
  /** It goes from one role to another on the way. */
  readonly handsOver: boolean;
  /** A talk with somebody, e.g. a customer. */
  readonly conversation: boolean;
  /** A question: its words are what it is about, not how to do it. */
  readonly asking: boolean;
  readonly needsHuman: boolean;
}

/** Why something is claimed: a rule, and the words it saw (UTF-16 offsets, `end` exclusive). */
export interface Reason {
  /** e.g. `intent:bug_fixing`, `flag:urgent`. */
  readonly claim: string;
  readonly ruleId: string;
  readonly start: number;
  readonly end: number;
}

/** A capability with its weight, 5 highest. */
export interface NeededCapability {
  readonly name: Capability;
  readonly priority: 1 | 2 | 3 | 4 | 5;
  readonly optional: boolean;
}

/** What a task is, by rules. Same text and version: same analysis. */
export interface TaskAnalysis {
  readonly analyzerVersion: string;
  readonly intent: Intent;
  /** At most two, the stronger first. */
  readonly secondaryIntents: readonly Intent[];
  readonly taskType: TaskType;
  /** Score 0–10. */
  readonly complexity: { readonly score: number; readonly tier: ComplexityTier };
  readonly capabilities: readonly NeededCapability[];
  readonly estimatedSteps: number;
  readonly flags: TaskFlags;
  /** 0–1: how clearly the words point to this intent and task type. */
  readonly confidence: number;
  readonly language: 'en' | 'unknown';
  /** True where only the beginning of the text was looked at. */
  readonly truncated: boolean;
  readonly reasons: readonly Reason[];
}
