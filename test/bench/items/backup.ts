import { createDatabases, repositoryRoot, type Stack } from '@mandate/local';
import { execFile } from 'node:child_process';
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Bench, Item } from '../bench.ts';
import { measureInChild } from '../child.ts';
import type { Figure } from '../figure.ts';
import { takeRounds } from '../rounds.ts';
import { median, rounded } from '../statistics.ts';
import { startServers, storeEnvironment } from '../store-stack.ts';

const WORKFLOWS = 17_000;
/** 1,800 steps: more than 64 workflows in flight commit in a second. Both are multiples of what is filled at once. */
const WORKFLOWS_OF_A_SECOND = 600;

/** The commands that an operator runs, from their start to their end: Node's own start is in every figure. */
export const backup: Item = {
  name: 'backup',
  title: 'Back up, restore, and back up what came since, on a log of 200,000 events',
  measure: async (bench) => {
    const servers = await startServers(bench);
    try {
      const events = await fill(servers, 0, WORKFLOWS);
      let filled = WORKFLOWS;
      bench.say(`the log holds ${events} events`);
      const rounds = await takeRounds(
        bench,
        'backup and restore',
        async () => {
          const found = await once(bench, servers, filled);
          filled += WORKFLOWS_OF_A_SECOND;
          return found;
        },
        ({ full, incremental, restore }) =>
          `full ${full.toFixed(2)} s, incremental ${incremental.toFixed(2)} s, restore ${restore.toFixed(2)} s`,
      );
      const figure = (name: string, of: (found: Once) => number, unit: Figure['unit'] = 's'): Figure => {
        const values = rounds.map((round) => of(round.found));
        return {
          name,
          unit,
          value: rounded(median(values)),
          rounds: values,
          coresOfOthers: median(rounds.map((round) => round.coresOfOthers)),
        };
      };
      return {
        figures: [
          figure('full backup of 200,000 events', (found) => found.full),
          figure('its size', (found) => found.megabytes, 'MB'),
          figure('incremental backup of 1 s of load (7,200 events)', (found) => found.incremental),
          figure('restore of both into empty databases, every chain walked (RTO)', (found) => found.restore),
        ],
        details: { events },
      };
    } finally {
      await servers.stop();
    }
  },
};

interface Once {
  /** Seconds. */
  readonly full: number;
  readonly incremental: number;
  readonly restore: number;
  readonly megabytes: number;
}

async function once(bench: Bench, servers: Stack, filled: number): Promise<Once> {
  const [full, rest] = [join(bench.folder, 'full'), join(bench.folder, 'rest')];
  await Promise.all([full, rest].map((folder) => rm(folder, { recursive: true, force: true })));
  const { DATABASE_URL = '' } = storeEnvironment(servers, 'projector');
  const fullSeconds = await seconds('backup', ['--to', full], { DATABASE_URL });
  await fill(servers, filled, WORKFLOWS_OF_A_SECOND);
  const incremental = await seconds('backup', ['--to', rest, '--since', full], { DATABASE_URL });
  const empty = `restored_${filled}`;
  await createDatabases(servers.postgres.url(), [empty]);
  const restore = await seconds('restore', ['--from', full, '--from', rest], { DATABASE_URL: servers.postgres.url(empty) });
  const sizes = await Promise.all((await readdir(full)).map(async (file) => (await stat(join(full, file))).size));
  return { full: fullSeconds, incremental, restore, megabytes: sizes.reduce((sum, size) => sum + size, 0) / 1e6 };
}

/** @returns how many events were written */
async function fill(servers: Stack, first: number, workflows: number): Promise<number> {
  const env = { ...storeEnvironment(servers, 'orchestrator'), FIRST: String(first), WORKFLOWS: String(workflows) };
  return (await measureInChild<{ events: number }>('test/bench/programs/fill-log-main.ts', env)).events;
}

/** How long a command of the project takes. @throws with its words when it fails */
async function seconds(command: 'backup' | 'restore', args: readonly string[], env: Readonly<Record<string, string>>): Promise<number> {
  const started = performance.now();
  await promisify(execFile)(process.execPath, [join(repositoryRoot, `packages/backup-cli/src/${command}.ts`), ...args], {
    env: { PATH: process.env['PATH'], ...env },
  });
  return (performance.now() - started) / 1_000;
}
