import type { AgentId } from '../ids.ts';
import type { Casting, PatternName } from '../workflow/steps.ts';
import type { Brief, OwedChild, PatternOutcome, StepEvent } from './pattern.ts';

/** Children that a pattern sends, by their places. */
export interface Crew {
  readonly members: readonly Member[];
}

export interface Member {
  readonly to: Casting;
  readonly child?: AgentId;
  readonly end?: MemberEnd;
}

type MemberEnd =
  | { readonly kind: 'answered'; readonly version: number; readonly bytes: number; readonly fingerprint?: string }
  | { readonly kind: 'failed'; readonly code: string; readonly message: string; readonly partialAt: number | null };

export const crewOf = (team: readonly Casting[]): Crew => ({ members: team.map((to) => ({ to })) });

/** Hears what became of a member; anything else changes nothing. */
export function hearCrew<C extends Crew>(crew: C, event: StepEvent): C {
  if (event.kind !== 'child_sent' && event.kind !== 'child_ended' && event.kind !== 'refused') return crew;
  if (event.slot === undefined || !('part' in event.slot)) return crew;
  const place = event.slot.part;
  return { ...crew, members: crew.members.map((member, index) => (index === place ? changed(member, event) : member)) };
}

function changed(member: Member, event: Extract<StepEvent, { kind: 'child_sent' | 'child_ended' | 'refused' }>): Member {
  switch (event.kind) {
    case 'child_sent':
      return { ...member, child: event.child };
    case 'refused':
      return { ...member, end: { kind: 'failed', code: event.code, message: event.message, partialAt: null } };
    case 'child_ended': {
      const { end } = event;
      if (end.kind === 'answered') {
        const { answerAt: version, bytes, fingerprint } = end;
        return { ...member, end: { kind: 'answered', version, bytes, ...(fingerprint === undefined ? {} : { fingerprint }) } };
      }
      return { ...member, end: { kind: 'failed', code: end.code, message: end.message, partialAt: end.partialAt } };
    }
  }
}

export type Answered = Member & { readonly child: AgentId; readonly end: Extract<MemberEnd, { kind: 'answered' }> };

export const answeredOf = (crew: Crew): readonly Answered[] =>
  crew.members.filter((member): member is Answered => member.child !== undefined && member.end?.kind === 'answered');
export const failedOf = (crew: Crew): readonly Member[] => crew.members.filter((member) => member.end?.kind === 'failed');
export const atWork = (crew: Crew): readonly (Member & { readonly child: AgentId })[] =>
  crew.members.filter((member): member is Member & { readonly child: AgentId } => member.child !== undefined && member.end === undefined);

/** Sends a member with the parent's own task. It gets one of `of` equal parts of what is left. */
export const sent = (
  brief: Brief,
  place: number,
  to: Casting,
  of: number,
  after: readonly AgentId[] = [],
  pattern: PatternName = 'direct',
): OwedChild => ({
  kind: 'child',
  slot: { part: place },
  to,
  task: { of: 'parent' },
  taskBytes: brief.taskBytes,
  after,
  pattern,
  of,
  fingerprint: '',
  asked: false,
});

/** A failure with the best that there is. What a freeze has stopped can go on after it, so it is not hidden by another code. */
export const failedWith = (crew: Crew, code: string, message: string): PatternOutcome => ({
  kind: 'failed',
  code: crew.members.some(({ end }) => end?.kind === 'failed' && end.code === 'SpendingFrozen') ? 'SpendingFrozen' : code,
  message,
  partialAt:
    answeredOf(crew).at(-1)?.end.version ??
    crew.members.flatMap((member) => (member.end?.kind === 'failed' ? [member.end.partialAt] : [])).find((at) => at !== null) ??
    null,
});
