/* One answer made of what other agents brought, of a result that is passed on, or of what is known when the mandate is used up. */
import { resultsIn, type AgentResult } from './agent-results.ts';
import { clipped } from './answer-parts.ts';
import { covers, divideTask, type Division } from './divide-task.ts';
import { figureLines, figuresIn } from './join-figures.ts';
import { rateAnswer } from './rate-answer.ts';

/** Results one after the other, and the figures that several of them hold side by side. */
export function joinResults(task: string, results: readonly AgentResult[]): string {
  const answered = results.filter((result) => hasAnswer(result));
  const head = `${answered.length} of ${results.length} agents answered. This is what they brought for: ${clipped(task.replaceAll(/\s+/g, ' '))}`;
  const sections = results.map(({ role, agent, answer, failure }) =>
    answer === undefined || answer === ''
      ? `${role} (${agent}) brought nothing (${failure ?? 'an empty answer'}).`
      : `${role} (${agent}):\n${answer}`,
  );
  const distinct = new Set(answered.map(({ answer }) => answer));
  const agreed = answered.length > 1 && distinct.size === 1 ? ['They all say the same.'] : [];
  const division = divideTask(task);
  const isSame = division?.kind !== 'parts' || division.isSpread;
  const together = isSame && distinct.size > 1 ? figureLines(answered.flatMap(({ answer = '' }) => figuresIn(answer))) : [];
  const open = uncovered(
    division,
    answered.map(({ answer = '' }) => answer),
  );
  const missing = open.length > 0 ? [`Nobody brought anything for: ${open.join(' ')}`] : [];
  return [
    head,
    ...(agreed.length > 0 ? sections.slice(0, 1) : sections),
    ...agreed,
    ...(together.length > 0 ? [['Put together:', ...together].join('\n')] : []),
    ...missing,
  ].join('\n\n');
}

/** Parts of the task whose files and folders no answer names. */
function uncovered(division: Division | undefined, answers: readonly string[]): readonly string[] {
  const parts = division?.kind === 'parts' ? division.parts : [];
  return parts.filter((part) => !answers.some((answer) => covers(answer, part))).map((part) => part.task);
}

/** An earlier result that has what the task asks for, as the answer. Undefined: the task is to be done. */
export function passOn(task: string, given: readonly AgentResult[]): string | undefined {
  const good = given.findLast((result) => hasAnswer(result) && rateAnswer(task, result.answer ?? '').rating === 'good');
  if (good === undefined) return undefined;
  const answer = (good.answer ?? '').replace(/\n\nNote: this is the answer of [^\n]*$/, '');
  return `${answer}\n\nNote: this is the answer of ${good.role} (${good.agent}); it has what the task asks for, so I pass it on.`;
}

const hasAnswer = ({ answer }: AgentResult): boolean => answer !== undefined && answer !== '';

/** The last turn of an agent whose mandate is used up. */
export function lastWords({ task, code, done }: { readonly task: string; readonly code: string; readonly done: string }): string {
  const blocks = done.split(/^(?=\[[\w.-]{1,128}\] )/m);
  const said = blocks.flatMap((block) => (block.startsWith('[delegate] ') ? resultsIn(block.slice('[delegate] '.length)).results : []));
  const known = said.flatMap(({ role, agent, answer }) =>
    answer === undefined || answer === '' ? [] : [`${role} (${agent}):\n${answer}`],
  );
  return [
    `My mandate is used up (${code}), so this is not the whole answer to: ${clipped(task.replaceAll(/\s+/g, ' '))}`,
    ...(known.length > 0 ? ['What other agents brought so far:', ...known] : []),
    missing(known.length > 0, done),
  ].join('\n\n');
}

function missing(hasParts: boolean, done: string): string {
  if (hasParts) return 'What is missing: everything else that the task asks for.';
  if (done.trim() === '') return 'What is missing: all of it. Nothing was found out before the mandate was used up.';
  return 'What is missing: the answer. Some results had come, but not all that is needed, and I state no figure that I did not work out in full.';
}
