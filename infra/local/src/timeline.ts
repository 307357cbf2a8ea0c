/** Events of a task as lines for a terminal. */
import { styleText } from 'node:util';
import type { TimelineEvent } from './gateway-client.ts';

type Facts = Readonly<Record<string, unknown>>;
type Tone = 'plain' | 'quiet' | 'good' | 'bad';
type Line = { readonly tone: Tone; readonly text: string };

const colours = { plain: 'white', quiet: 'gray', good: 'green', bad: 'red' } as const;

/** One line: seconds since the first event, whose it is, what kind of event, what it says. Coloured only on a terminal without NO_COLOR. */
export function timelineLine(event: TimelineEvent, startedAt: number): string {
  const { tone, text } = describe(event.type, event.data);
  const seconds = `${((event.at - startedAt) / 1000).toFixed(3)} s`.padStart(10);
  const agent = typeof event.data['agent'] === 'string' ? event.data['agent'] : '';
  return `${paint('quiet', `${seconds}  ${agent.padEnd(7)}`)} ${paint(tone, event.type.padEnd(20))} ${text}`.trimEnd();
}

/** Micro-USD as dollars, without rounding anything away. */
export function usd(microUsd: number): string {
  const dollars = (microUsd / 1_000_000).toFixed(6);
  return `$${dollars.replace(/(\.\d\d\d*?)0+$/, '$1')}`;
}

/** Gives a text the colour of a tone, where the terminal shows colours. */
export function paint(tone: Tone, text: string): string {
  return styleText(colours[tone], text, { stream: process.stdout });
}

function describe(type: string, data: Facts): Line {
  switch (type) {
    case 'task.submitted':
      return { tone: 'plain', text: `a task of ${number(data['taskBytes'])} bytes` };
    case 'task.forked':
      return { tone: 'plain', text: `a fork of ${word(facts(data['origin'])['workflow'])} at ${number(facts(data['origin'])['version'])}` };
    case 'attempt.reused':
      return { tone: 'quiet', text: 'answered as in the run that it was forked from' };
    case 'reuse.ended':
      return { tone: 'plain', text: `live from here (${word(data['why'])})` };
    case 'task.rejected':
      return { tone: 'bad', text: `${word(data['code'])}: ${word(data['message'])}` };
    case 'mandate.granted':
      return { tone: 'plain', text: grant(data) };
    case 'decision.made':
      return { tone: 'plain', text: decision(data) };
    case 'attempt.reserved':
      return { tone: 'quiet', text: reservation(data) };
    case 'attempt.settled':
      return { tone: data['outcome'] === 'succeeded' ? 'plain' : 'bad', text: settlement(data) };
    case 'attempt.started':
      return { tone: 'quiet', text: 'may start: its effect cannot be repeated' };
    case 'attempt.answered_late':
      return { tone: 'bad', text: `answered after it was settled; ${usd(number(data['costMicroUsd']))}` };
    case 'mandate.warned':
      return { tone: 'bad', text: `nearly used up: ${words(data['dimensions']).join(', ')}; left are ${figures(facts(data['left']))}` };
    case 'mandate.topped_up':
      return { tone: 'good', text: `raised by ${figures(facts(data['added']))}` };
    case 'allowance.asked':
      return { tone: 'quiet', text: `asks the account for ${usd(number(data['moneyMicroUsd']))}` };
    case 'allowance.answered':
      return data['granted'] === true
        ? { tone: 'quiet', text: 'the account lends it' }
        : { tone: 'bad', text: `the account does not lend it: ${word(data['code'])}: ${word(data['message'])}` };
    case 'agent.handed_over':
      return { tone: 'plain', text: `${word(data['from'])} hands over to ${word(facts(data['to'])['role'])}` };
    case 'agent.stopped':
      return { tone: 'bad', text: `starts nothing more (${word(data['as'])}): ${word(data['code'])}: ${word(data['message'])}` };
    case 'agent.ended':
      return agentEnd(facts(data['end']), facts(data['spent']));
    case 'cancel.requested':
      return { tone: 'bad', text: typeof data['agent'] === 'string' ? 'this agent is to stop' : 'the task is to stop' };
    case 'erasure.requested':
      return { tone: 'bad', text: data['of'] === 'workflow' ? 'its content is to go' : 'all content about a person is to go' };
    case 'content.erased':
      return { tone: 'plain', text: `the keys are destroyed (${number(data['keys'])})` };
    case 'bus.reset':
      return { tone: 'bad', text: 'the bus lost its storage; what was claimed on it is owed again' };
    case 'step.refused':
      return { tone: 'bad', text: `${word(data['code'])}: ${word(data['message'])}` };
    case 'retry.scheduled':
      return { tone: 'quiet', text: `another try after attempt ${number(data['attempt'])}` };
    case 'timer.fired':
      return { tone: 'quiet', text: `${word(data['timer'])} timer` };
    case 'task.completed':
      return { tone: 'good', text: ending(data) };
    case 'task.failed':
      return { tone: 'bad', text: `${word(data['code'])}: ${word(data['message'])}; ${ending(data)}` };
    case 'task.cancelled':
      return { tone: 'bad', text: ending(data) };
    case 'mandate.released':
      return { tone: 'quiet', text: `returned ${usd(number(facts(data['returned'])['moneyMicroUsd']))}` };
    default:
      return { tone: 'quiet', text: '' };
  }
}

function grant(data: Facts): string {
  const limits = facts(data['limits']);
  const tools = Array.isArray(data['tools']) ? data['tools'].length : 0;
  const under = typeof data['parent'] === 'string' ? ` under ${data['parent']}` : '';
  return (
    `${word(data['role'])} at depth ${number(data['depth'])}${under}: at most ${usd(number(limits['moneyMicroUsd']))}, ` +
    `${number(limits['modelCalls'])} model calls, ${number(limits['toolCalls'])} tool calls, ${tools} tools`
  );
}

function reservation(data: Facts): string {
  const owes = facts(data['owes']);
  const money = number(facts(data['reservation'])['moneyMicroUsd']);
  const again = number(data['number']) > 1 ? `, try ${number(data['number'])}` : '';
  const what =
    { llm: asking(facts(owes['part'])), tool: `calls ${word(owes['tool'])}`, analyze: 'reads the task' }[word(owes['kind'])] ??
    word(owes['kind']);
  return `${what}${again}${money > 0 ? `, reserved ${usd(money)}` : ''}`;
}

function asking(part: Facts): string {
  const purposes: Readonly<Record<string, string>> = {
    plan: 'asks a model to plan',
    choose: 'asks a model to choose somebody',
    join: 'asks a model to join the results',
    rate: 'asks a model to rate the answer',
    closing: 'asks a model for its last words',
    consult: `asks ${word(facts(part['to'])['role'])} a question`,
  };
  return purposes[word(part['name'])] ?? 'asks a model';
}

/** The pattern, who chose it, and what came next to it. */
function decision(data: Facts): string {
  const weighed = (Array.isArray(data['weighed']) ? data['weighed'] : []).map(facts);
  const score = (one: Facts): string => number(one['score']).toFixed(2);
  const chosen = weighed.find((one) => one['verdict'] === 'chosen');
  const next = weighed.filter((one) => one !== chosen).slice(0, 2);
  return [
    `pattern ${word(data['pattern'])}${chosen === undefined ? '' : ` (${score(chosen)})`}`,
    ...(next.length > 0 ? [`before ${next.map((one) => `${word(one['pattern'])} (${score(one)})`).join(' and ')}`] : []),
    `chosen by ${word(data['chosenBy'])}`,
    ...words(data['reasons']).filter((reason) => reason !== data['chosenBy']),
  ].join(', ');
}

function agentEnd(end: Facts, spent: Facts): Line {
  const cost = `spent ${figures(spent)}`;
  if (end['kind'] === 'answered') return { tone: 'good', text: `answered with ${number(end['bytes'])} bytes; ${cost}` };
  return { tone: 'bad', text: `${word(end['kind'])}: ${word(end['code'])}: ${word(end['message'])}; ${cost}` };
}

function figures(of: Facts): string {
  return `${usd(number(of['moneyMicroUsd']))}, ${number(of['tokens'])} tokens, ${number(of['modelCalls'])} model calls, ${number(of['toolCalls'])} tool calls`;
}

function settlement(data: Facts): string {
  const took = data['durationMs'] === undefined ? '' : ` in ${number(data['durationMs'])} ms`;
  const failure = facts(data['failure']);
  if (data['outcome'] !== 'succeeded')
    return `${word(data['outcome'])}${took}: ${word(failure['code'])}${data['final'] ? '' : ', to be tried again'}`;
  const answer = facts(data['answer']);
  switch (answer['kind']) {
    case 'llm':
      return `${modelAnswer(answer)}${took}`;
    case 'tool':
      return `${number(answer['resultBytes'])} bytes${answer['truncated'] ? ', cut' : ''}${answer['isError'] ? ', an error' : ''}${took}`;
    case 'analyze':
      return `${analysisText(facts(answer['analysis']))}${took}`;
    default:
      return took.trim();
  }
}

function modelAnswer(answer: Facts): string {
  const usage = facts(answer['usage']);
  const calls = (Array.isArray(answer['calls']) ? answer['calls'] : []).map((call) => word(facts(call)['tool']));
  const wants = calls.length > 0 ? `wants ${counted(calls).join(', ')}` : `answers with ${number(answer['textBytes'])} bytes`;
  const tokens = number(usage['inputTokens']) + number(usage['outputTokens']);
  return `${word(answer['provider'])}/${word(answer['model'])} ${wants}; ${tokens} tokens, ${usd(number(answer['costMicroUsd']))},`;
}

/** Equal names once, with their number. */
function counted(names: readonly string[]): readonly string[] {
  return [...new Set(names)].map((name) => {
    const count = names.filter((other) => other === name).length;
    return count === 1 ? name : `${name} ×${count}`;
  });
}

function analysisText(analysis: Facts): string {
  return `${word(analysis['taskType'])}, ${word(analysis['tier'])}, about ${number(analysis['estimatedSteps'])} steps,`;
}

function ending(data: Facts): string {
  const spent = facts(data['spent']);
  return `${number(data['steps'])} steps, ${usd(number(spent['moneyMicroUsd']))}, ${number(spent['tokens'])} tokens`;
}

/** An object of an event, whatever stands there. */
export function facts(value: unknown): Facts {
  return typeof value === 'object' && value !== null ? (value as Facts) : {};
}

/** A word of an event, whatever stands there. */
export function word(value: unknown): string {
  return typeof value === 'string' ? value : 'unknown';
}

function words(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.map(word) : [];
}

/** A figure of an event, whatever stands there. */
export function number(value: unknown): number {
  return typeof value === 'number' ? value : 0;
}
