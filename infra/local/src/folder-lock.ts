/** One stack per data folder: the first start takes the folder's lock file, and a second one is told who has it. */
import { randomUUID } from 'node:crypto';
import { link, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readIfThere } from './private-file.ts';
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
 * Each taking is a file of the next number, made by a link: it appears whole, and to one taker alone. Whoever has the highest number has the
 * folder. The highest file is never removed, only marked as released, so a number never means two takings; a late taker who judged by an old
 * state either finds the number taken or sees a higher one, and looks again.
 *
 * @throws {FolderInUse} when another process has it.
 */
export async function lockFolder(home: string): Promise<FolderLock> {
  const dir = join(home, 'lock');
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const mine: Owner = { pid: process.pid, startedAt: runningProcess(process.pid)?.startedAt ?? '' };
  for (;;) {
    const top = Math.max(0, ...(await takings(dir)));
    const owner = await readOwner(join(dir, String(top)));
    if (owner && isAlive(owner)) throw new FolderInUse(home, owner.pid);
    const file = join(dir, String(top + 1));
    if (!(await createOnce(file, JSON.stringify(mine)))) continue;
    const all = await takings(dir);
    if (Math.max(...all) > top + 1) {
      await rm(file, { force: true });
      continue;
    }
    for (const older of all.filter((each) => each <= top)) await rm(join(dir, String(older)), { force: true });
    return { release: () => writeWhole(file, '{}') };
  }
}

async function takings(dir: string): Promise<readonly number[]> {
  return (await readdir(dir)).filter((name) => /^\d+$/.test(name)).map(Number);
}

/** False when somebody else made the file before. */
async function createOnce(file: string, content: string): Promise<boolean> {
  const draft = `${file}.${randomUUID()}`;
  await writeFile(draft, content);
  try {
    await link(draft, file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    await rm(draft, { force: true });
  }
}

async function writeWhole(file: string, content: string): Promise<void> {
  const draft = `${file}.${randomUUID()}`;
  await writeFile(draft, content);
  await rename(draft, file);
}

async function readOwner(file: string): Promise<Owner | undefined> {
  const text = await readIfThere(file);
  if (text === undefined) return undefined;
  const { pid, startedAt } = JSON.parse(text) as Partial<Owner>;
  return pid === undefined || startedAt === undefined ? undefined : { pid, startedAt };
}

function isAlive(owner: Owner): boolean {
  return runningProcess(owner.pid)?.startedAt === owner.startedAt;
}
