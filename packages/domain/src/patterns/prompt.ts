import type { AgentId } from '../ids.ts';
import type { CallRef, Casting, OwnTool } from '../workflow/steps.ts';
import type { Figures } from '../mandate/mandate.ts';
import type { Turn } from './dialogue.ts';

/** Words in a prompt, by reference: content is looked up when the command is composed. */
export type Words =
  /** The agent's own task. */
  | { readonly of: 'task' }
  /** What a child brought, shortened to `SUMMARY_BYTES`. */
  | { readonly of: 'result'; readonly agent: AgentId }
  /** One argument of a call that a model made: the question of a consult, the feedback of a rating. */
  | { readonly of: 'argument'; readonly call: CallRef; readonly name: 'question' | 'feedback' }
  /** The text of a model's answer. */
  | { readonly of: 'answer'; readonly version: number }
  /** Our own words. A text that was shipped is not edited: a change is a new name. */
  | { readonly of: 'note'; readonly note: Note };

export type Note =
  | { readonly name: 'left'; readonly left: Figures }
  | { readonly name: 'raised' | 'join' | 'rate' | 'improve' | 'choose' | 'plan' | 'plan_on' | 'choose_again' }
  | { readonly name: 'plan_again'; readonly problem: string }
  /** A planned step that nobody was sent for. */
  | { readonly name: 'not_sent'; readonly step: string; readonly problem: string }
  | { readonly name: 'closing'; readonly code: string }
  | { readonly name: 'roster'; readonly roles: readonly string[] };

/** One message of a prompt. */
export type Line = { readonly by: 'user'; readonly words: readonly Words[] } | { readonly by: 'turn'; readonly turn: Turn };

/** What a model is asked. Composed again after a crash it is the same to the byte. */
export interface Prompt {
  /** Who is asked; undefined: the agent in its own role. */
  readonly as: Casting | undefined;
  readonly lines: readonly Line[];
  /** Our own tools that are offered beside those of the mandate. */
  readonly own: readonly OwnTool[];
  /** The mandate's tools are offered: all, those of the casting, or none. */
  readonly tools: 'granted' | 'of the casting' | 'none';
  /** Cut to so many bytes, the task and the latest words last; undefined: whole. */
  readonly cutTo?: number;
}

/** A child's result in its parent's prompt: 2,000 tokens of 3.5 bytes (spec/sources.md, section 1). The whole one is kept. */
export const SUMMARY_BYTES = 7_000;
/** Our own words in one message are never longer. */
export const NOTE_BYTES = 1_300;
