/**
 * Divergences that are meant: a dated file says which decisions a change decides otherwise than they were, and why. One that
 * no history needs any more must go, or it would let the next one of its kind pass.
 */
import type { Divergence } from '@mandate/domain';
import { readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { CannotCheck, readText } from './where.ts';

export interface Declaration {
  readonly file: string;
  /** Type of the first event that differs. */
  readonly event: string;
  /** The first field that differs, or a field above it (JSON Pointer); empty: any of that event. */
  readonly path: string;
  readonly why: string;
  /** Only in decisions about this type of input; only of this edition. */
  readonly input?: string;
  readonly edition?: number;
}

/** It covers a decision from its first differing event on: what follows in the same decision follows from it. */
export function declares(declaration: Declaration, { type, input, path }: Divergence, edition: number | null): boolean {
  return (
    declaration.event === type &&
    (path === declaration.path || path.startsWith(`${declaration.path}/`)) &&
    (declaration.input ?? input) === input &&
    (declaration.edition ?? edition) === edition
  );
}

/** Files in force: those that are named, or all of a folder. @throws CannotCheck when one is not right */
export async function declarationsIn(files: readonly string[]): Promise<readonly Declaration[]> {
  return (await Promise.all(files.map(async (file) => readDeclarations(file, await readText(file))))).flat();
}

export async function declaredFiles(folder: string): Promise<readonly string[]> {
  const names = await readdir(folder).catch(() => []);
  return names.filter((name) => name.endsWith('.json')).map((name) => join(folder, name));
}

const DATED = /^(\d{4}-\d\d-\d\d)-[a-z0-9-]+\.json$/;

export function readDeclarations(file: string, text: string): readonly Declaration[] {
  if (!DATED.test(basename(file))) throw new CannotCheck(`${file}: a file of declared divergences is called YYYY-MM-DD-words.json`);
  const listed = (parsed(file, text) as { readonly divergences?: unknown } | null)?.divergences;
  if (!Array.isArray(listed) || listed.length === 0)
    throw new CannotCheck(`${file} declares nothing: it holds {"divergences":[{"event","path","why"}]}`);
  return (listed as readonly unknown[]).map((each, index) => declarationIn(each, file, index + 1));
}

function declarationIn(value: unknown, file: string, number: number): Declaration {
  const { event, path, why, input, edition, ...others } = (value ?? {}) as Record<string, unknown>;
  const wrong =
    typeof event !== 'string' || event === ''
      ? 'event is missing: the type of the first event that differs'
      : typeof path !== 'string' || (path !== '' && !path.startsWith('/'))
        ? 'path is missing: the first field that differs, as /data/message; empty for any'
        : typeof why !== 'string' || why.trim().length < 10
          ? 'why is missing: a sentence'
          : input !== undefined && typeof input !== 'string'
            ? 'input is not a type of event'
            : edition !== undefined && typeof edition !== 'number'
              ? 'edition is not a number'
              : Object.keys(others).length > 0
                ? `there is no field ${Object.keys(others).join(', ')}`
                : undefined;
  if (wrong !== undefined) throw new CannotCheck(`${file}, divergence ${number}: ${wrong}`);
  return { ...(value as Omit<Declaration, 'file'>), file };
}

function parsed(file: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new CannotCheck(`${file} is not JSON: ${(error as Error).message}`, { cause: error });
  }
}
