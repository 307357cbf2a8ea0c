/** A query's typed no: crosses the wire as `{ code, message, next }`. */
export class QueryProblem extends Error {
  override readonly name = 'QueryProblem';
  readonly code: string;
  readonly next: string;
  constructor(code: string, message: string, next: string) {
    super(message);
    this.code = code;
    this.next = next;
  }
}

export const agentUnknown = (): QueryProblem =>
  new QueryProblem('AgentUnknown', 'There is no such agent in this workflow.', 'Ask for the agents of the task to see who there is.');
