import { Ailing, type Check, type Patient } from './checks.ts';

export interface Finding {
  readonly check: string;
  readonly ok: boolean;
  /** What was found, or what is wrong. */
  readonly found: string;
  /** What helps. */
  readonly helps?: string;
}

/** Makes every check, in order; one that fails keeps none of the others from being made. */
export async function* examine(patient: Patient, checks: readonly Check[]): AsyncGenerator<Finding> {
  for (const { name, look } of checks) yield await finding(name, look(patient));
}

async function finding(check: string, looking: Promise<string>): Promise<Finding> {
  try {
    return { check, ok: true, found: await looking };
  } catch (error) {
    if (error instanceof Ailing) return { check, ok: false, found: error.message, helps: error.helps };
    return {
      check,
      ok: false,
      found: `it could not be looked at: ${reasonOf(error)}`,
      helps: 'Is it running? npm start starts everything.',
    };
  }
}

/** `fetch` says only that it failed; why is its cause. */
const reasonOf = (error: unknown): string => {
  const { message, cause } = error as Error;
  return cause instanceof Error ? `${message}: ${cause.message}` : message;
};
