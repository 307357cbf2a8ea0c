/** One stack per data folder: the first start takes the folder's lock file, and a second one is told who has it. */
import { randomUUID } from 'node:crypto';
import { link, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runningProcess } from './process-table.ts';

/** The data folder belongs to another process that still runs. */
export class FolderInUse extends Error {
  override readonly name = 'FolderInUse';
  readonly code = 'FOLDER_IN_USE';
  readonly pid: number;

  constructor(home: string, pid: number) {
    super(
      `${home} is in use by process ${pid}: a stack is already running there. ` +
        'Stop it with Ctrl-C in its terminal, or set MANDATE_HOME to another folder for a second one.',
    );
    this.pid = pid;
  }
}

type Owner = { readonly pid: number; readonly startedAt: string };

export type FolderLock = { release(): Promise<void> };

/**
 * Takes the folder for this process until `release`, or until the process ends in any way: a lock whose owner is gone is taken over.
 *
 * @throws {FolderInUse} when another process has it.
 */
export async function lockFolder(home: string): Promise<FolderLock> {
  await mkdir(home, { recursive: true });
  const file = join(home, 'lock');
  const mine = join(home, `lock.${randomUUID()}`);
  await writeFile(mine, JSON.stringify({ pid: process.pid, startedAt: runningProcess(process.pid)?.startedAt ?? '' } satisfies Owner));
  try {
    while (!(await tryLink(mine, file))) await removeIfStale(home, file);
  } finally {
    await rm(mine, { force: true });
  }
  return { release: () => rm(file, { force: true }) };
}

/** A link appears whole and at once, and only when there is none: of two starts at the same moment one wins. */
async function tryLink(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/**
 * Moves a lock aside before judging it a second time, for between reading and removing somebody else may have replaced the stale lock by a
 * live one; a live one is put back.
 */
async function removeIfStale(home: string, file: string): Promise<void> {
  const owner = await readOwner(file);
  if (owner && isAlive(owner)) throw new FolderInUse(home, owner.pid);
  const aside = join(home, `lock.${randomUUID()}`);
  try {
    await rename(file, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  const moved = await readOwner(aside);
  if (moved && isAlive(moved)) await tryLink(aside, file);
  await rm(aside, { force: true });
}

async function readOwner(file: string): Promise<Owner | undefined> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as Owner;
  } catch {
    return undefined;
  }
}

function isAlive(owner: Owner): boolean {
  return runningProcess(owner.pid)?.startedAt === owner.startedAt;
}
