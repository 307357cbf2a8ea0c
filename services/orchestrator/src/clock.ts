/** Wakes a workflow when its earliest timer is due. A binary heap; what is no longer due is recognised by the receiver. */
export class Clock {
  readonly #heap: { readonly at: number; readonly workflow: string }[] = [];
  readonly #wake: (workflow: string) => void;
  #timer: NodeJS.Timeout | undefined;
  #timerAt = Infinity;

  constructor(wake: (workflow: string) => void) {
    this.#wake = wake;
  }

  set(workflow: string, at: number): void {
    this.#heap.push({ at, workflow });
    this.#rise(this.#heap.length - 1);
    this.#arm();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#heap.length = 0;
  }

  #arm(): void {
    const first = this.#heap[0];
    if (first === undefined || first.at >= this.#timerAt) return;
    clearTimeout(this.#timer);
    this.#timerAt = first.at;
    // Longer waits than a day are taken up again: setTimeout holds 24.8 days at most.
    this.#timer = setTimeout(() => this.#ring(), Math.min(86_400_000, Math.max(0, first.at - Date.now()))).unref();
  }

  #ring(): void {
    this.#timerAt = Infinity;
    const due = new Set<string>();
    for (let first = this.#heap[0]; first !== undefined && first.at <= Date.now(); first = this.#heap[0]) {
      due.add(first.workflow);
      this.#pop();
    }
    for (const workflow of due) this.#wake(workflow);
    this.#arm();
  }

  #pop(): void {
    const last = this.#heap.pop();
    if (last === undefined || this.#heap.length === 0) return;
    this.#heap[0] = last;
    this.#sink();
  }

  #rise(from: number): void {
    for (let i = from; i > 0; ) {
      const parent = (i - 1) >> 1;
      if (this.#at(parent) <= this.#at(i)) return;
      this.#swap(i, parent);
      i = parent;
    }
  }

  #sink(): void {
    for (let i = 0; ; ) {
      const left = 2 * i + 1;
      const smaller = this.#at(left + 1) < this.#at(left) ? left + 1 : left;
      if (this.#at(smaller) >= this.#at(i)) return;
      this.#swap(i, smaller);
      i = smaller;
    }
  }

  #at(index: number): number {
    return this.#heap[index]?.at ?? Infinity;
  }

  #swap(a: number, b: number): void {
    const [x, y] = [this.#heap[a], this.#heap[b]];
    if (x === undefined || y === undefined) return;
    this.#heap[a] = y;
    this.#heap[b] = x;
  }
}
