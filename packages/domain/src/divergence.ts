import { changes } from './changes.ts';

/** Where a recorded decision comes out differently when it is decided again. */
export interface Divergence {
  /** Version of the first event that differs. */
  readonly version: number;
  /** Type of that event, as recorded; when nothing more is recorded, as decided. */
  readonly type: string;
  /** Type of the decision's input. */
  readonly input: string;
  /** The first field that differs: a JSON Pointer into `{ type, data }`; empty when the whole event is missing or too much. */
  readonly path: string;
  /** What stands there; left out where there is nothing. */
  readonly recorded?: unknown;
  readonly decided?: unknown;
  /** Why nothing is decided today, when nothing is. */
  readonly because?: string;
}

interface Fact {
  readonly type: string;
  readonly data: unknown;
}

/** @param version that of the decision's first event */
export function divergenceOf(
  version: number,
  recorded: readonly Fact[],
  decided: readonly Fact[],
  because?: string,
): Divergence | undefined {
  for (let index = 0; index < Math.max(recorded.length, decided.length); index++) {
    const [first] = changes(recorded[index], decided[index]);
    if (first === undefined) continue;
    return {
      version: version + index,
      type: (recorded[index] ?? decided[index])?.type ?? '',
      input: recorded[0]?.type ?? '',
      path: first.path,
      ...(first.from === undefined ? {} : { recorded: first.from }),
      ...(first.to === undefined ? {} : { decided: first.to }),
      ...(because === undefined ? {} : { because }),
    };
  }
  return undefined;
}
