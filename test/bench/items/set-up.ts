/** How long a person waits: `npm start -- --once` from the command to the first finished run. */
import { repositoryRoot } from '@mandate/local';
import { execFileSync, spawn } from 'node:child_process';
import { join } from 'node:path';
import type { Bench, Item } from '../bench.ts';
import type { Figure } from '../figure.ts';
import { takeRounds } from '../rounds.ts';
import { median, rounded } from '../statistics.ts';

/** Printed by `npm start` once the task has completed. */
const FINISHED = /^Answer$/m;

export const setUp: Item = {
  name: 'set-up',
  title: 'Set-up: npm start -- --once, from the command to the answer',
  measure: async (bench) => {
    const home = join(bench.folder, 'home');
    const first = await start(bench, 'new data folder, toolchain and dependencies there', repositoryRoot, home);
    const rounds = await takeRounds(
      bench,
      'second start',
      () => start(bench, 'warm data folder', repositoryRoot, home),
      (seconds) => `${seconds.toFixed(1)} s`,
    );
    const later = rounds.map((round) => rounded(round.found));
    const figures: Figure[] = [
      { name: 'npm start, new data folder, to the first finished run', unit: 's', value: rounded(first) },
      {
        name: 'npm start, second start, to the finished run',
        unit: 's',
        value: median(later),
        target: { atMost: 10 },
        rounds: later,
        coresOfOthers: median(rounds.map((round) => round.coresOfOthers)),
      },
    ];
    if (bench.isCold)
      figures.push({
        name: 'npm start, fresh checkout and empty cache, to the first finished run',
        unit: 's',
        value: rounded(await startCold(bench)),
        target: { atMost: 120 },
      });
    return { figures };
  },
};

/** A clone without toolchain, dependencies or data; npm's own download cache is what it is. */
async function startCold(bench: Bench): Promise<number> {
  const clone = join(bench.folder, 'clone');
  execFileSync('git', ['clone', '--quiet', repositoryRoot, clone]);
  return start(bench, 'fresh checkout', clone, join(clone, '.mandate'));
}

/** Seconds until the answer is on the screen. Resolves when everything has ended again. */
async function start(bench: Bench, what: string, checkout: string, home: string): Promise<number> {
  const started = performance.now();
  const child = spawn('npm', ['start', '--', '--once'], {
    cwd: checkout,
    env: environment(checkout, home),
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const killWithUs = (): void => void (child.pid !== undefined && process.kill(-child.pid, 'SIGKILL'));
  process.once('exit', killWithUs);
  let printed = '';
  let problems = '';
  let finishedAt: number | undefined;
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (problems = (problems + chunk).slice(-4_000)));
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    printed += chunk;
    // eslint-disable-next-line no-control-regex -- colours
    if (finishedAt === undefined && FINISHED.test(printed.replaceAll(/\u001b\[[0-9;]*m/g, ''))) finishedAt = performance.now();
  });
  const code = await new Promise<number | null>((ended) => child.once('close', ended));
  process.off('exit', killWithUs);
  if (finishedAt === undefined || code !== 0)
    throw new Error(`npm start (${what}) ended with ${code}:\n${problems}${printed.slice(-2_000)}`);
  const seconds = (finishedAt - started) / 1_000;
  bench.say(
    `npm start, ${what}: ${seconds.toFixed(1)} s to the answer, ${((performance.now() - started) / 1_000).toFixed(1)} s until all has ended`,
  );
  return seconds;
}

/** As a person's shell: neither the bench's own settings nor any model key. */
function environment(checkout: string, home: string): NodeJS.ProcessEnv {
  const { LOG_LEVEL: _, NODE_ENV: __, NATS_SERVER_BIN: ___, MANDATE_CACHE: ____, ...env } = process.env;
  const kept = Object.entries(env).filter(
    ([name]) => !/^npm_|_API_KEY$|^OPENAI_|^ANTHROPIC_/i.test(name) || /^npm_config_(global|user)config$/i.test(name),
  );
  const cache = checkout === repositoryRoot ? {} : { MANDATE_CACHE: join(checkout, '.cache') };
  return { ...Object.fromEntries(kept), MANDATE_HOME: home, ...cache };
}
