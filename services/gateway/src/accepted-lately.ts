const REMEMBERED_MS = 30_000;
const AT_MOST = 20_000;

/**
 * Workflows that this gateway has just accepted. Whoever asks for one may be faster than the projector: it is then
 * waited for instead of called unknown.
 */
export class AcceptedLately {
  readonly #until = new Map<string, number>();

  add(workflow: string): void {
    const now = Date.now();
    for (const [known, until] of this.#until) {
      if (until > now && this.#until.size < AT_MOST) break;
      this.#until.delete(known);
    }
    this.#until.set(workflow, now + REMEMBERED_MS);
  }

  has(workflow: string): boolean {
    return (this.#until.get(workflow) ?? 0) > Date.now();
  }
}
