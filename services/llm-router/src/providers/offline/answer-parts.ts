/* The clauses of a task one after the other, by this agent itself. */
import type { Asking } from './asking.ts';
import { carryOut } from './carry-out.ts';
import type { FileRequest, Selection } from './file-request.ts';
import type { Run } from './select-files.ts';
import { pointsBack, type Understood } from './understand-task.ts';
import { CannotGoOn } from './workspace.ts';

/** Answers the clauses in order; each may build on what the one before found. */
export function* answerParts(run: Run, parts: readonly Understood[]): Asking<string> {
  const sections: string[] = [];
  let found: Found = {};
  for (const part of parts) {
    const outcome = yield* answerPart(run, part, found);
    found = outcome.found;
    if (outcome.text !== '' && !sections.includes(outcome.text)) sections.push(outcome.text);
  }
  return sections.join('\n\n');
}

/** What earlier clauses found: the files, and the selection in words. */
interface Found {
  readonly files?: readonly string[];
  readonly selection?: Selection;
}

function* answerPart(run: Run, part: Understood, found: Found): Asking<{ text: string; found: Found }> {
  if (part.kind === 'beyond')
    return {
      text: `I cannot do this part by rules (I only list, find, count, read, extract, compare and quote): "${clipped(part.words)}".`,
      found,
    };
  if (part.kind === 'unclear') return { text: `I did not understand this part: "${clipped(part.words)}".`, found };
  const isBack = found.files !== undefined && pointsBack(part.request.selection) && !countsAnew(part.request);
  const request = isBack ? part.request : inSamePlace(part.request, found);
  try {
    const outcome = yield* carryOut(run, request, isBack ? found.files : undefined);
    return { text: outcome.lines.join('\n'), found: { files: outcome.files, selection: request.selection } };
  } catch (error) {
    if (error instanceof CannotGoOn) return { text: error.message, found };
    throw error;
  }
}

/** "How many mention x, and how many mention y": the second count is not among the first's files. */
function countsAnew({ action, selection }: FileRequest): boolean {
  return action.kind === 'count-files' && !selection.refersBack && selection.mentions.phrases.length > 0;
}

/** "… in docs, and how many json files": the second clause means docs, too. */
function inSamePlace(request: FileRequest, { selection: earlier }: Found): FileRequest {
  const { selection } = request;
  if (earlier === undefined || selection.places.length > 0) return request;
  const places = earlier.places.filter(({ expects }) => expects !== 'file');
  const extensions = countsAnew(request) && selection.extensions.length === 0 ? earlier.extensions : selection.extensions;
  return {
    ...request,
    selection: { ...selection, places, extensions, depth: selection.depth === 'unsaid' ? earlier.depth : selection.depth },
  };
}

/** Words of a task as far as an answer repeats them. */
export function clipped(words: string): string {
  return words.length > 160 ? `${words.slice(0, 160)}…` : words;
}
