/*
 * What a task says about who is to do it and for how much: "let other agents …", "do it yourself", "with a budget of $5".
 * Such words are about the work and not part of what is asked of the files.
 */

/** A task without its words about other agents, and what they said. */
export interface AgentWords {
  readonly rest: string;
  /** Other agents are to do it, or parts of it. */
  readonly isAsked: boolean;
  /** Nobody else is to do it. */
  readonly isAlone: boolean;
}

const NUMBER = String.raw`(?:one|an?|two|three|four|five|some|several|many|\d|the|your)\s+`;
const OTHER = String.raw`(?:another|other|different|separate|several|further|more|helper|worker|sub)[\s-]*`;
const AGENTS = String.raw`(?:sub-?)?agents?(?:\s+each)?`;
const FILLER = String.raw`(?:(?:please|and|then|also)[\s,]+)*`;
/** Where a sentence or a part of it begins, with what binds it to the one before. */
const BEGINNING = String.raw`(?:(?:^|(?<=[.;:|?!]))\s*${FILLER}|,\s*${FILLER}|\s+(?:and|then)\s+${FILLER})`;

const LED = new RegExp(
  String.raw`${BEGINNING}(?:let|have|ask|get|tell)\s+(?:${NUMBER})?(?:${OTHER})*(?:${AGENTS}|others)\s*[,:]?\s+(?:to\s+)?`,
  'giu',
);
const GIVEN = new RegExp(
  String.raw`${BEGINNING}delegate(?:\s+(?:this|these|it|them|all|each|every|the|following|part|parts|of|everything|work|task|tasks))*(?:\s+to\s+(?:${NUMBER})?(?:${OTHER})*(?:${AGENTS}|others))?\s*[:,]?(?=\s|$)`,
  'giu',
);
const HELPED = new RegExp(
  String.raw`,?\s*\b(?:using|use|with(?:\s+the\s+help\s+of)?|by|through)\s+(?:${NUMBER})?(?:${OTHER})+${AGENTS}(?:\s+to\b)?,?`,
  'giu',
);
const ALONE =
  /,?\s*\b(?:(?:do|count|answer)\s+(?:it|this|that|all)\s+)?(?:all\s+)?(?:by\s+)?yourself\b|,?\s*\bwithout\s+(?:any\s+)?(?:other|further)\s+agents?\b|\b(?:do not|don't|never)\s+delegate(?:\s+(?:it|this|anything))?\b/giu;

/** "Let two agents do this: …" */
const POINTED =
  /;\s*(?:do|work\s+on|look\s+at|look\s+into|find\s+out|see\s+to)?\s*(?:about\s+)?(?:this|these|the\s+following)(?:\s+\w+)?\s*:/giu;

/** Takes the words about other agents out of a task whose quotes and paths are marked. */
export function agentWords(marked: string): AgentWords {
  const alone = marked.replace(ALONE, '');
  const isAlone = alone !== marked;
  const rest = alone.replace(LED, '; ').replace(GIVEN, '; ').replace(HELPED, ' ');
  return { rest: rest === alone ? rest : rest.replace(POINTED, ';'), isAsked: rest !== alone, isAlone };
}

/** "Work on these parts", "join what they find": done anyway where agents are asked, and about no file. */
export function isAboutJoining(words: string): boolean {
  if (words.includes('<')) return false;
  return (
    /^(?:work|look|help|go)\s+(?:on|at|with|into|through)\s+(?:these|those|this|it|them|the)\b/i.test(words) ||
    /^(?:do|share|split|divide|answer)\s+(?:these|those|this|it|them|the (?:work|parts|following))\b/i.test(words) ||
    /^(?:join|combine|merge|collect|bring|put|report|sum)\s+(?:up\s+|together\s+)?(?:what|the|their|all|everything|it|them|back)\b/i.test(
      words,
    )
  );
}

const AMOUNT = String.raw`(?:(?:US)?\$\s?(?<sign>\d{1,9}(?:\.\d{1,6})?)|(?<said>\d{1,9}(?:\.\d{1,6})?)\s?(?<unit>dollars?|usd|cents?))`;
const BUDGET = new RegExp(
  String.raw`,?\s*(?:\(\s*)?\b(?:(?:with|on|for|within|at|and|give\s+it)\s+)?(?:(?:an?|its\s+own|the)\s+)?(?:budget|allowance|mandate)\s+of\s+(?:(?:up\s+to|at\s+most)\s+)?${AMOUNT}(?:\s*\))?,?`,
  'iu',
);
const SPENDING = new RegExp(
  String.raw`,?\s*\b(?:(?:and\s+)?(?:spend|spending|pay|paying|costing)|for)\s+(?:up\s+to|at\s+most|(?:no|not)\s+more\s+than)\s+${AMOUNT}(?:\s+(?:on|for)\s+(?:it|this|that))?,?`,
  'iu',
);

/** What a clause says about money. */
export interface SaidBudget {
  readonly rest: string;
  readonly budgetMicroUsd?: number;
  /** "…, and, with a budget of $5, …": the budget opens the next clause. */
  readonly isForNext?: true;
}

/** Takes a budget out of a clause: "with a budget of $5", "spend at most 50 cents". */
export function budgetIn(words: string): SaidBudget {
  for (const form of [BUDGET, SPENDING]) {
    const found = form.exec(words);
    if (found?.groups === undefined) continue;
    const { sign, said, unit } = found.groups;
    const dollars = Number(sign ?? said) / (unit?.startsWith('cent') ? 100 : 1);
    const budgetMicroUsd = Math.max(1, Math.round(dollars * 1_000_000));
    const [before, after] = [words.slice(0, found.index), words.slice(found.index + found[0].length)];
    const opening = /^(.*?),?\s*\b(?:and|then)\s*,?\s*$/is.exec(before);
    if (opening !== null && after.trim() === '') return { rest: opening[1] ?? '', budgetMicroUsd, isForNext: true };
    return { rest: `${before} ${after}`, budgetMicroUsd };
  }
  return { rest: words };
}
