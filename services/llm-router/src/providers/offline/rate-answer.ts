/*
 * A rating by what can be checked in the words alone: whether there is an answer, whether it names the files that were
 * asked for, whether it has the figures. Rules cannot tell whether a figure is right, so nothing is rated excellent.
 */
import { namedFiles } from './task-clauses.ts';
import { understandTask } from './understand-task.ts';

/** What the rules can justify. */
export interface Rated {
  readonly rating: 'poor' | 'fair' | 'good';
  readonly feedback: string;
}

/** Rates an answer to a task. */
export function rateAnswer(task: string, answer: string): Rated {
  const text = answer.trim();
  if (text === '') return { rating: 'poor', feedback: 'The answer is empty.' };
  if (/^I cannot do this\b/.test(text)) return { rating: 'poor', feedback: 'It does not answer the task but says that it cannot.' };
  const faults = [...missingFiles(task, text), ...missingFigures(task, text), ...admitted(text)];
  if (faults.length === 0) {
    return {
      rating: 'good',
      feedback: 'It is not empty, names every file that the task names, and has the figures. Rules cannot check whether they are right.',
    };
  }
  return { rating: 'fair', feedback: faults.join(' ') };
}

function missingFiles(task: string, answer: string): string[] {
  const missing = namedFiles(task).filter((name) => !answer.includes(name));
  return missing.length === 0 ? [] : [`It says nothing about ${missing.slice(0, 5).join(', ')}.`];
}

function missingFigures(task: string, answer: string): string[] {
  const asked = understandTask(task).some(
    (part) => part.kind === 'request' && (part.request.action.kind === 'measure' || part.request.action.kind === 'count-files'),
  );
  return asked && !/\d/.test(answer) ? ['The task asks for a figure, and there is none.'] : [];
}

function admitted(answer: string): string[] {
  const admission =
    /^.*\b(?:I could not|I cannot do this part|I did not understand|brought nothing|this answer is partial|figures about it are partial|the answer was cut here|is not the whole answer)\b.*$/im.exec(
      answer,
    )?.[0];
  return admission === undefined ? [] : [`It says itself that something is missing: "${admission.trim().slice(0, 160)}".`];
}
