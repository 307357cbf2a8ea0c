/** Events of a task as lines for a terminal. */
import { styleText } from 'node:util';
import type { TimelineEvent } from './gateway-client.ts';

type Facts = Readonly<Record<string, unknown>>;
type Tone = 'plain' | 'quiet' | 'good' | 'bad';
type Line = { readonly tone: Tone; readonly text: string };

const colours = { plain: 'white', quiet: 'gray', good: 'green', bad: 'red' } as const;

/** One line: seconds since the first event, what kind of event, what it says. Coloured only on a terminal without NO_COLOR. */
export function timelineLine(event: TimelineEvent, startedAt: number): string {
  const { tone, text } = describe(event.type, event.data);
  const seconds = `${((event.at - startedAt) / 1000).toFixed(3)} s`.padStart(10);
  return `${paint('quiet', seconds)}  ${paint(tone, event.type.padEnd(22))}${text}`;
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
    case 'task.rejected':
      return { tone: 'bad', text: `${word(data['code'])}: ${word(data['message'])}` };
    case 'mandate.granted':
      return { tone: 'plain', text: grant(data) };
    case 'decision.made':
      return {
        tone: 'plain',
        text: [`pattern ${word(data['pattern'])}`, `chosen by ${word(data['chosenBy'])}`, ...words(data['reasons'])].join(', '),
      };
    case 'attempt.reserved':
      return { tone: 'quiet', text: reservation(data) };
    case 'attempt.settled':
      return { tone: data['outcome'] === 'succeeded' ? 'plain' : 'bad', text: settlement(data) };
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
  return (
    `${word(data['role'])} at depth ${number(data['depth'])}: at most ${usd(number(limits['moneyMicroUsd']))}, ` +
    `${number(limits['modelCalls'])} model calls, ${number(limits['toolCalls'])} tool calls, ${tools} tools`
  );
}

function reservation(data: Facts): string {
  const owes = facts(data['owes']);
  const money = number(facts(data['reservation'])['moneyMicroUsd']);
  const again = number(data['number']) > 1 ? `, try ${number(data['number'])}` : '';
  const what =
    { llm: 'asks a model', tool: `calls ${word(owes['tool'])}`, analyze: 'reads the task' }[word(owes['kind'])] ?? word(owes['kind']);
  return `${what}${again}${money > 0 ? `, reserved ${usd(money)}` : ''}`;
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
  const wants = calls.length > 0 ? `wants ${calls.join(', ')}` : `answers with ${number(answer['textBytes'])} bytes`;
  const tokens = number(usage['inputTokens']) + number(usage['outputTokens']);
  return `${word(answer['provider'])}/${word(answer['model'])} ${wants}; ${tokens} tokens, ${usd(number(answer['costMicroUsd']))},`;
}

function analysisText(analysis: Facts): string {
  return `${word(analysis['taskType'])}, ${word(analysis['tier'])}, about ${number(analysis['estimatedSteps'])} steps,`;
}

function ending(data: Facts): string {
  const spent = facts(data['spent']);
  return `${number(data['steps'])} steps, ${usd(number(spent['moneyMicroUsd']))}, ${number(spent['tokens'])} tokens`;
}

function facts(value: unknown): Facts {
  return typeof value === 'object' && value !== null ? (value as Facts) : {};
}

function word(value: unknown): string {
  return typeof value === 'string' ? value : 'unknown';
}

function words(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.map(word) : [];
}

function number(value: unknown): number {
  return typeof value === 'number' ? value : 0;
}
