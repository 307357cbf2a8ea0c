import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, onTestFinished, test } from 'vitest';
import { repositoryRoot } from './paths.ts';
import { runningProcess } from './process-table.ts';
import { type ProcessOptions, type SupervisedProcess, superviseProcess } from './processes.ts';
import { testFolder } from './test-folder.ts';

/** A service in small: ready over HTTP, drains on SIGTERM, says its environment. `FIRST_LIVES` lives end with exit code 7. */
const smallService = `
import { createServer } from 'node:http';
import { appendFileSync, readFileSync } from 'node:fs';
appendFileSync(process.env.LIVES, 'x');
if (readFileSync(process.env.LIVES, 'utf8').length <= Number(process.env.FIRST_LIVES ?? 0)) process.exit(7);
const server = createServer((_, answer) => answer.end('ok')).listen(0, '127.0.0.1', () => {
  console.log(JSON.stringify({ msg: 'variables', names: Object.keys(process.env).toSorted(), colour: process.env.COLOUR }));
  console.log(JSON.stringify({ msg: 'ready', health: 'http://127.0.0.1:' + server.address().port }));
});
process.on('SIGTERM', () => { console.log('drained'); process.exit(0); });
`;

type Supervised = { service: SupervisedProcess; said: string[]; log: () => Promise<string>; hears: (pattern: RegExp) => Promise<void> };

async function supervised(options: Partial<ProcessOptions> = {}): Promise<Supervised> {
  const folder = await testFolder();
  const script = join(folder, 'service.mjs');
  await writeFile(script, smallService);
  const said: string[] = [];
  const waiting = new Set<() => void>();
  const logFile = join(folder, 'logs', 'small-1.log');
  const service = superviseProcess({
    name: 'small-1',
    command: process.execPath,
    args: [script],
    cwd: folder,
    logFile,
    say: (line) => {
      said.push(line);
      for (const check of waiting) check();
    },
    restartDelayMs: () => 1,
    ...options,
    env: { LIVES: join(folder, 'lives'), ...options.env },
  });
  onTestFinished(() => service.kill());
  const hears = (pattern: RegExp): Promise<void> =>
    new Promise((resolve) => {
      const check = (): void => {
        if (said.some((line) => pattern.test(line))) resolve();
      };
      waiting.add(check);
      check();
    });
  return { service, said, log: () => readFile(logFile, 'utf8'), hears };
}

test('a service that dies is started again, and it is said', async () => {
  const delays: number[] = [];
  const { service, said } = await supervised({ env: { FIRST_LIVES: '2' }, restartDelayMs: (restart) => delays.push(restart) });
  await service.ready();
  expect(delays).toEqual([1, 2]);
  expect(said[0]).toMatch(/^small-1 died \(exit code 7\); starting it again in 0\.0 s\. Log: .*small-1\.log$/);
  expect(said.at(-1)).toMatch(/^small-1 runs again/);
});

test('a service that is killed from outside comes back as another process', async () => {
  let starts = 0;
  const { service, hears, log } = await supervised({ envOfStart: () => ({ COLOUR: `shade-${++starts}` }) });
  await service.ready();
  const pid = service.pid();
  process.kill(pid, 'SIGKILL');
  await hears(/died \(signal SIGKILL\)/);
  await service.ready();
  expect(service.pid()).not.toBe(pid);
  expect(await log()).toMatch(/shade-1[\s\S]*shade-2/);
});

test('one that was killed through its handle stays down until it is restarted', async () => {
  const { service, said } = await supervised();
  await service.ready();
  const pid = service.pid();
  await service.kill();
  expect(runningProcess(pid)).toBeUndefined();
  expect(service.pid()).toBe(0);
  await service.restart({ COLOUR: 'green' });
  expect(service.pid()).toBeGreaterThan(0);
  expect(said).toEqual([]);
});

test('a stop asks first, and the log has every line', async () => {
  const { service, log } = await supervised({ env: { COLOUR: 'blue' } });
  await service.ready();
  await service.stop();
  expect(await log()).toMatch(/"colour":"blue"[\s\S]*"msg":"ready"[\s\S]*drained/);
});

test('a service sees the variables it was given and no others', async () => {
  const { service, log } = await supervised({ env: { COLOUR: 'blue' } });
  await service.ready();
  const [line] = (await log()).split('\n');
  expect(JSON.parse(line ?? '')).toMatchObject({ names: ['COLOUR', 'LIVES'] });
});

test('a service that cannot start fails the wait with its last words', async () => {
  const { service } = await supervised({ env: { FIRST_LIVES: '1000' } });
  await expect(service.ready()).rejects.toThrow(/small-1 died \d+ times while starting\. It said nothing\.\nLog: /);
});

test.runIf(process.platform === 'linux')('children end when their launcher is killed', async () => {
  const folder = await testFolder();
  const launcher = join(folder, 'launcher.ts');
  await writeFile(
    launcher,
    `import { startChild } from ${JSON.stringify(join(repositoryRoot, 'infra/local/src/child-process.ts'))};
     const child = await startChild({ command: process.execPath, args: ['-e', 'setInterval(() => {}, 1e6); console.log("up")'], env: {}, cwd: '.', stdio: ['ignore', 'pipe', 'inherit'], deathSignal: 'SIGKILL' });
     child.stdout.once('data', () => console.log(child.pid));
     setInterval(() => {}, 1e6);`,
  );
  const running = spawn(process.execPath, [launcher], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(running.stdout, 'data')) as [Buffer];
  const pid = Number(line.toString());
  expect(runningProcess(pid)).toBeDefined();
  running.kill('SIGKILL');
  await expect.poll(() => runningProcess(pid), { interval: 5 }).toBeUndefined();
});
