/* Who is suited for a task, by its words. */

/** Words that speak for a role, in order of their weight. */
const CUES: Readonly<Record<string, RegExp>> = {
  analyst:
    /\b(?:count|how (?:many|often|long|much)|compare|most|least|fewest|longest|shortest|largest|smallest|figures?|average|total|analy[sz]e|data|value)\b/gi,
  researcher: /\b(?:find|search|look|which|where|list|mentions?|read|show|extract|quote|summari[sz]e|headings?|what|research|sources?)\b/gi,
  creator: /\b(?:write|draft|compose|letter|essay|poem|story|text for|slogan)\b/gi,
  developer: /\b(?:code|implement|refactor|fix|bug|function|program|test|typescript|python)\b/gi,
  reviewer: /\b(?:review|check|rate|judge|proofread|critique|assess)\b/gi,
  coordinator: /\b(?:plan|coordinate|organi[sz]e|schedule|project)\b/gi,
  reasoner: /\b(?:why|prove|reason|argue|logic|decide|explain)\b/gi,
  communicator: /\b(?:reply|e-?mail|announce|customer|message|tell)\b/gi,
};

/** The one of some roles that a task calls for: the one that it names, else the one with most cues, else the first. */
export function chooseAgent(task: string, roles: readonly string[]): { readonly agent: string; readonly reason: string } {
  const words = task.replace(/\S*[./]\S+/g, ' ');
  const named = roles.find((role) => new RegExp(String.raw`\b${role.replace(/[^a-z0-9]+/gi, '[ _-]')}\b`, 'i').test(words));
  if (named !== undefined) return { agent: named, reason: `the task names ${named}` };
  const weighed = roles.map((role) => ({
    role,
    found: [...new Set((words.match(CUES[role] ?? NEVER) ?? []).map((cue) => cue.toLowerCase()))],
  }));
  const best = weighed.reduce((most, one) => (one.found.length > most.found.length ? one : most), {
    role: roles[0] ?? '',
    found: [] as string[],
  });
  const reason =
    best.found.length > 0
      ? `words of the task: ${best.found.slice(0, 5).join(', ')}`
      : 'no word of the task speaks for anybody, so the first';
  return { agent: best.role, reason };
}

/** Who of those that every installation has is to do a part about files. */
export const suitedAgent = (task: string): string => chooseAgent(task, ['analyst', 'researcher']).agent;

const NEVER = /(?!)/g;
