/* Parts of a task given to other agents, and one answer made of what they bring. */
import { refusalIn, resultsIn } from './agent-results.ts';
import { answerParts, clipped } from './answer-parts.ts';
import { askAll, type Asking, type Reply } from './asking.ts';
import { MAX_PARTS, type TaskPart } from './divide-task.ts';
import { figuresIn, figureLines } from './join-figures.ts';
import type { Run } from './select-files.ts';

/** Gives away what may be given away, all in one turn; does the rest itself, and what was refused or failed, too. */
export function* giveAway(open: () => Asking<Run>, parts: readonly TaskPart[], isSpread: boolean): Asking<string> {
  const given = parts.filter(({ agent }) => agent !== undefined).slice(0, MAX_PARTS);
  const replies = yield* askAll(
    given.map(({ agent, task, budgetMicroUsd }) => ({
      tool: 'delegate',
      args: { agent, task, ...(budgetMicroUsd !== undefined && { budget_micro_usd: budgetMicroUsd }) },
    })),
  );
  const done: Done[] = [];
  for (const part of parts) {
    const reply = replies[given.indexOf(part)];
    const brought = reply === undefined ? ({ kind: 'kept', why: 'done by me' } as const) : broughtBy(reply);
    if (brought.kind === 'kept') {
      done.push({ head: brought.why, text: yield* answerParts(yield* open(), part.asks), isMine: true });
    } else done.push({ head: brought.by, text: brought.text, isMine: false });
  }
  return joined(parts, done, isSpread);
}

interface Done {
  readonly head: string;
  readonly text: string;
  readonly isMine: boolean;
}

type Brought = { readonly kind: 'answered'; readonly by: string; readonly text: string } | { readonly kind: 'kept'; readonly why: string };

function broughtBy(reply: Reply): Brought {
  const refused = refusalIn(reply.text);
  if (refused !== undefined)
    return { kind: 'kept', why: `done by me: an agent for it was refused (${refused.code}: ${firstSentence(refused.why)})` };
  const [result] = resultsIn(reply.text).results;
  if (result === undefined) return { kind: 'kept', why: `done by me: an agent for it brought nothing (${clipped(reply.text)})` };
  if (result.answer === undefined || result.answer === '')
    return { kind: 'kept', why: `done by me: ${result.role} (${result.agent}) failed (${result.failure ?? 'an empty answer'})` };
  return { kind: 'answered', by: `${result.role} (${result.agent})`, text: result.answer };
}

function joined(parts: readonly TaskPart[], done: readonly Done[], isSpread: boolean): string {
  const mine = done.filter(({ isMine }) => isMine).length;
  const others = done.length - mine;
  const count = (of: number): string => `${of} ${of === 1 ? 'part' : 'parts'}`;
  const head = `${count(parts.length)}, ${others} done by ${others === 1 ? 'another agent' : 'other agents'}${mine === 0 ? '' : ` and ${mine} by me`}.`;
  const asked = (index: number): string => (isSpread ? '' : `${index + 1}. ${clipped(parts[index]?.task ?? '')} `);
  const sections = done.map(({ head: by, text }, index) => `${asked(index)}[${by}]\n${text}`);
  const together = isSpread ? figureLines(done.flatMap(({ text }) => figuresIn(text))) : [];
  return [head, ...sections, ...(together.length > 0 ? [['Put together:', ...together].join('\n')] : [])].join('\n\n');
}

const firstSentence = (text: string): string => text.split(/\.(?:\s|$)/)[0] ?? '';
