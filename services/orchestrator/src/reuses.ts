import type { AttemptResult, LlmContent } from '@mandate/contracts';
import { type AttemptReused, type DueReuse, pending, type WorkflowInput } from '@mandate/domain';
import { readerFor, teamFor } from './answer-reader.ts';
import type { Decisions, Shared } from './decisions.ts';
import { type Cause, eventId } from './encode-decision.ts';
import { partResult } from './inbox-message.ts';
import { type Origin, readOrigin } from './origins.ts';
import type { Held } from './workflow-memory.ts';

/**
 * Gives forks what their origins were answered, one commit after the other. What is due stands in `pending(state).reuse`:
 * whoever takes over goes on where the last one stopped. Facts about words are made anew, under the fork's own key.
 */
export class Reuses {
  readonly #shared: Shared;
  readonly #decisions: Decisions;
  readonly #isLost: () => boolean;
  /** Forks that are owed an answer. */
  readonly owed = new Set<string>();
  readonly #feeding = new Set<string>();

  constructor(shared: Shared, parts: { readonly decisions: Decisions; readonly isLost: () => boolean }) {
    this.#shared = shared;
    this.#decisions = parts.decisions;
    this.#isLost = parts.isLost;
  }

  /** After a commit, a takeover, and whenever it did not go well. */
  look(held: Held): void {
    if (pending(held.state).reuse === undefined) {
      this.owed.delete(held.id);
      return;
    }
    this.owed.add(held.id);
    if (this.#feeding.has(held.id)) return;
    this.#feeding.add(held.id);
    this.#feed(held)
      .catch((error: Error) =>
        this.#shared.logger.warn({ workflow: held.id, problem: error.message }, 'answer not reused yet; it is tried again'),
      )
      .finally(() => this.#feeding.delete(held.id));
  }

  async #feed(held: Held): Promise<void> {
    const { forked } = held.state;
    if (forked === undefined) return;
    const origin = await readOrigin(this.#shared, held.tenant, forked.data.origin);
    for (let due = pending(held.state).reuse; due !== undefined && !this.#isLost(); due = pending(held.state).reuse) {
      const reused = 'code' in origin ? undefined : this.#reuse(held, due, origin);
      const { decision, done } = this.#decisions.decide(
        held,
        reused?.input ?? { kind: 'end_reuse', why: 'origin_erased' },
        reused?.content,
        this.#causeOf(held, due),
      );
      await done;
      if (decision.kind !== 'events') break;
    }
  }

  #reuse(held: Held, due: DueReuse, origin: Origin): { readonly input: WorkflowInput; readonly content: unknown } | undefined {
    const found = origin.at(due.at);
    if (found === undefined || (found.event.type !== 'attempt.settled' && found.event.type !== 'attempt.reused')) return undefined;
    const result = resultOf(held, due, found.event.data, found.words);
    if (result === undefined) return undefined;
    const { input, content } = partResult(result, readerFor(this.#shared, held, due.attempt));
    const { attempt, outcome, answer, failure } = input;
    return {
      input: {
        kind: 'reuse',
        attempt,
        from: { version: due.at, hash: found.hash },
        outcome,
        ...(answer === undefined ? {} : { answer }),
        ...(failure === undefined ? {} : { failure }),
        ...teamFor(this.#shared, held, due.attempt, input),
      },
      content,
    };
  }

  #causeOf(held: Held, { attempt }: DueReuse): Cause {
    return {
      actor: `service/orchestrator/${this.#shared.instance}`,
      causation: eventId(held.id, attempt.version),
      traceparent: held.trace,
    };
  }
}

type Recorded = Pick<AttemptReused, 'outcome' | 'answer' | 'failure'>;

/** What a worker once said, from its facts and its words; undefined when the words are gone. */
function resultOf(held: Held, { attempt }: DueReuse, { outcome, answer, failure }: Recorded, words: unknown): AttemptResult | undefined {
  const said = answerOf(answer, words);
  if (answer !== undefined && said === undefined) return undefined;
  const { message } = (words ?? {}) as { readonly message?: string };
  return {
    workflow: held.id,
    attempt: attempt.id,
    outcome,
    ...(said === undefined ? {} : { answer: said }),
    ...(failure === undefined ? {} : { failure: { ...failure, ...(message === undefined ? {} : { message }) } }),
    worker: 'orchestrator',
    durationMs: 0,
  } as AttemptResult;
}

function answerOf(answer: Recorded['answer'], words: unknown): AttemptResult['answer'] {
  if (answer === undefined || answer.kind === 'analyze') return answer as AttemptResult['answer'];
  if (words === undefined) return undefined;
  if (answer.kind === 'tool') {
    const { isError, truncated } = answer;
    return { kind: 'tool', isError, truncated, content: { text: (words as { readonly text: string }).text } };
  }
  const { textBytes: _, calls: __, fingerprint: ___, ...facts } = answer;
  const content = words as LlmContent;
  // What was asked for in the text is read from it again.
  return { ...facts, content: { ...content, calls: content.calls.filter(({ callId }) => !/^text_\d+$/.test(callId)) } };
}
