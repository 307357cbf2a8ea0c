import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { FolderInUse, lockFolder } from './folder-lock.ts';
import { repositoryRoot } from './paths.ts';
import { testFolder } from './test-folder.ts';

test('of many starts at the same moment one gets the folder, and the others learn who has it', async () => {
  const home = await testFolder();
  const tries = await Promise.allSettled(Array.from({ length: 20 }, () => lockFolder(home)));
  expect(tries.filter((each) => each.status === 'fulfilled')).toHaveLength(1);
  const refused = tries.find((each) => each.status === 'rejected');
  expect(refused?.reason).toBeInstanceOf(FolderInUse);
  expect(String(refused?.reason)).toContain(`in use by process ${process.pid}`);
});

test('a released folder can be taken again and again, and one small file is left', async () => {
  const home = await testFolder();
  for (let time = 1; time <= 3; time++) {
    const lock = await lockFolder(home);
    await lock.release();
  }
  expect(await readdir(join(home, 'lock'))).toEqual(['3']);
});

test('the lock of a process that was killed is taken over by exactly one', async () => {
  const home = await testFolder();
  const script = join(home, 'owner.ts');
  await writeFile(
    script,
    `import { lockFolder } from ${JSON.stringify(join(repositoryRoot, 'infra/local/src/folder-lock.ts'))};
     await lockFolder(${JSON.stringify(home)}); console.log('locked'); setInterval(() => {}, 1e6);`,
  );
  const owner = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void owner.kill('SIGKILL'));
  await once(owner.stdout, 'data');
  await expect(lockFolder(home)).rejects.toThrow(`process ${owner.pid}`);
  owner.kill('SIGKILL');
  await once(owner, 'exit');
  const tries = await Promise.allSettled(Array.from({ length: 20 }, () => lockFolder(home)));
  expect(tries.filter((each) => each.status === 'fulfilled')).toHaveLength(1);
});

test('a process id that now belongs to somebody else does not hold the folder', async () => {
  const home = await testFolder();
  await mkdir(join(home, 'lock'));
  await writeFile(join(home, 'lock', '1'), JSON.stringify({ pid: process.pid, startedAt: 'long ago' }));
  const lock = await lockFolder(home);
  await expect(lockFolder(home)).rejects.toThrow(FolderInUse);
  await lock.release();
});
