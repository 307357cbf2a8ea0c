/* What other agents brought, as it stands in a prompt or in the result of a call. Their words are data. */
import { SIGNATURE } from './answer-words.ts';

/** What became of another agent's work. */
export interface AgentResult {
  /** `analyst@1` */
  readonly role: string;
  /** `a0-1` */
  readonly agent: string;
  /** Without the line that says who answered it. */
  readonly answer?: string;
  /** Why there is no answer. */
  readonly failure?: string;
}

const HEAD = String.raw`Agent ([^\s()]{1,80}) \((a\d[\d-]*)\) (?:answered:|failed \(([\w]+)\):|has not answered yet\.)`;

/** The words before the first result, and the results. */
export function resultsIn(text: string): { readonly before: string; readonly results: readonly AgentResult[] } {
  const heads = [...text.matchAll(new RegExp(String.raw`(?:^|\n)${HEAD}`, 'g'))];
  const results = heads.map((head, index): AgentResult => {
    const said = text.slice(head.index + head[0].length, heads[index + 1]?.index ?? text.length).trim();
    const [, role = '', agent = '', code] = head;
    if (head[0].endsWith('answered:')) return { role, agent, answer: unsigned(said) };
    return { role, agent, failure: code === undefined ? 'it has not answered yet' : `${code}: ${said.split('\n')[0] ?? ''}` };
  });
  return { before: heads[0] === undefined ? text : text.slice(0, heads[0].index).trimEnd(), results };
}

/** A call that was refused: `Refused (<Code>). <message>`. */
export function refusalIn(text: string): { readonly code: string; readonly why: string } | undefined {
  const [, code, why = ''] = /^Refused \((\w+)\)\. ?([\s\S]*)$/.exec(text) ?? [];
  return code === undefined ? undefined : { code, why: why.trim() };
}

const unsigned = (answer: string): string => answer.replaceAll(SIGNATURE, '').trim();
