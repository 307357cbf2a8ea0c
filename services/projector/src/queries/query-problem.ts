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
