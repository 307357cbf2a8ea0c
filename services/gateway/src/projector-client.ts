import { type QueryAnswer, type QueryAsk, type QueryName, type QueryReply, subjects } from '@mandate/contracts';
import type { Bus } from '@mandate/messaging';
import type { AcceptedLately } from './accepted-lately.ts';
import { GatewayProblem, unavailable, workflowUnknown } from './http/problem.ts';

/** Longer than the projector waits for a version. */
const ANSWER_WITHIN_MS = 4_000;

/** Asks the projector. @throws GatewayProblem in the words of the REST door */
export type AskProjector = <N extends QueryName>(name: N, ask: QueryAsk<N>) => Promise<QueryAnswer<N>>;

export const projectorClient =
  (bus: Bus, accepted: AcceptedLately): AskProjector =>
  async (name, question) => {
    const ask =
      'workflow' in question && question.workflow !== undefined && accepted.has(question.workflow)
        ? { minVersion: 1, ...question }
        : question;
    const reply = (await bus.ask(subjects.query('projector', name), JSON.stringify(ask), ANSWER_WITHIN_MS).catch((cause: unknown) => {
      throw unavailable('ProjectorUnavailable', 'No projector answers.', cause);
    })) as QueryReply<typeof name>;
    if (reply.ok) return reply.value;
    throw problemOf(reply.problem);
  };

function problemOf(problem: { readonly code: string; readonly message: string; readonly next: string }): GatewayProblem {
  switch (problem.code) {
    case 'WorkflowUnknown':
      return workflowUnknown();
    case 'AgentUnknown':
    case 'VersionUnknown':
      return new GatewayProblem({ status: 404, code: problem.code, detail: problem.message, next: problem.next });
    case 'ReadBehind':
      return new GatewayProblem({ status: 504, code: problem.code, detail: problem.message, next: problem.next });
    case 'CursorInvalid':
    case 'QueryInvalid':
      return new GatewayProblem({ status: 400, code: problem.code, detail: problem.message, next: problem.next });
    case 'TooManyEvents':
    case 'StateTooLarge':
      return new GatewayProblem({ status: 422, code: problem.code, detail: problem.message, next: problem.next });
    default:
      return unavailable(problem.code, problem.message);
  }
}
