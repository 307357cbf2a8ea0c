/**
 * `npm run bench`: measures what the design promises (docs: 'Figures to reach'), each item on a stack of its own with
 * fsync on, and prints it beside the promise. It asserts nothing: a figure that does not hold is printed as such.
 */
import { rmSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Bench, Item } from './bench.ts';
import { type HostFacts, hostFacts, load } from './host-facts.ts';
import { append } from './items/append.ts';
import { backup } from './items/backup.ts';
import { core } from './items/core.ts';
import { delegated } from './items/delegated.ts';
import { encryption } from './items/encryption.ts';
import { floor } from './items/floor.ts';
import { fullStep } from './items/full-step.ts';
import { idleMemory } from './items/idle-memory.ts';
import { million } from './items/million.ts';
import { pure } from './items/pure.ts';
import { rebuild } from './items/rebuild.ts';
import { recovery } from './items/recovery.ts';
import { rehydrate } from './items/rehydrate.ts';
import { setUp } from './items/set-up.ts';
import { threeSteps } from './items/three-steps.ts';
import { type ItemResults, type Results, writeResults } from './results.ts';
import { markdown } from './table.ts';

const ITEMS: readonly Item[] = [
  floor,
  pure,
  core,
  threeSteps,
  delegated,
  fullStep,
  recovery,
  append,
  encryption,
  rebuild,
  backup,
  million,
  rehydrate,
  idleMemory,
  setUp,
];

const HELP = `npm run bench                     measures everything (about 20 minutes) and prints it beside the design's figures
npm run bench -- --only core,w1   some items: ${ITEMS.map((item) => item.name).join(', ')}
  --seconds N     length of a round (default 5)
  --rounds N      rounds per figure, the median counts (default 3)
  --patience N    seconds that a round waits for others on this machine to be quiet (default 0)
  --out file      results (default test/bench/results/<date>-<commit>.json)
  --profile dir   CPU profiles of the services (core, w1, full); read them with test/bench/self-time.ts
  --cold          set-up from a fresh checkout too: downloads everything

MANDATE_BENCH_EVENTS=N: events of the item million (default 1000000); a smaller log has no target
`;

const startedAt = new Date();
/** Where the item that is being measured keeps its data. */
let currentFolder: string | undefined;
process.exit(await main());

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      only: { type: 'string' },
      seconds: { type: 'string', default: '5' },
      rounds: { type: 'string', default: '3' },
      patience: { type: 'string', default: '0' },
      out: { type: 'string' },
      profile: { type: 'string' },
      cold: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return print(HELP);
  const wanted = values.only?.split(',');
  const unknown = wanted?.filter((name) => !ITEMS.some((item) => item.name === name)) ?? [];
  if (unknown.length > 0) return fail(`there is no item ${unknown.join(', ')}. There are: ${ITEMS.map((item) => item.name).join(', ')}.`);
  // Every service inherits these: as in production, without a line per request.
  process.env['LOG_LEVEL'] = 'warn';
  process.env['NODE_ENV'] = 'production';
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => endNow(signal));

  const settings = { seconds: Number(values.seconds), rounds: Number(values.rounds) };
  const host = hostFacts();
  const before = load();
  const file =
    values.out ?? join(dirname(fileURLToPath(import.meta.url)), 'results', `${startedAt.toISOString().slice(0, 10)}-${host.commit}.json`);
  await mkdir(dirname(file), { recursive: true });
  const items: ItemResults[] = [];
  const soFar = (): Results => ({
    startedAt: startedAt.toISOString(),
    host: withPostgres(host, items),
    settings,
    load: { before, after: load() },
    items,
  });
  for (const item of ITEMS.filter(({ name }) => wanted?.includes(name) ?? true)) {
    items.push(
      await measure(item, { ...settings, patienceSeconds: Number(values.patience), profile: values.profile, isCold: values.cold, say }),
    );
    // After every item: what was measured is kept, however this ends.
    await writeResults(file, soFar());
  }
  print(`\n${markdown(soFar())}\n\nRaw samples: ${file}`);
  return items.some((item) => item.failure !== undefined) ? 1 : 0;
}

/** The floor item starts a Postgres and asks it. */
function withPostgres(host: HostFacts, items: readonly ItemResults[]): HostFacts {
  const version = items.find((item) => item.name === 'floor')?.details?.['postgres'];
  return typeof version === 'string' ? { ...host, postgres: version } : host;
}

/** Registered last, so the folder goes after the launcher's own exit hook has killed what writes into it. */
function endNow(signal: string): never {
  say(`ended by ${signal}`);
  const folder = currentFolder;
  process.once('exit', () => (folder === undefined ? undefined : rmSync(folder, { recursive: true, force: true, maxRetries: 10 })));
  process.exit(130);
}

/** An item that cannot be measured does not keep the others from it. */
async function measure(item: Item, bench: Omit<Bench, 'folder'>): Promise<ItemResults> {
  const { name, title } = item;
  say(title);
  const before = load();
  const folder = await mkdtemp(join(tmpdir(), 'mandate-bench-'));
  currentFolder = folder;
  try {
    const found = await item.measure({ ...bench, folder });
    return { name, title, load: { before, after: load() }, ...found };
  } catch (error) {
    const failure = error instanceof Error ? error.message : String(error);
    say(`${name} could not be measured: ${failure}`);
    return { name, title, load: { before, after: load() }, figures: [], failure };
  } finally {
    await rm(folder, { recursive: true, force: true });
    currentFolder = undefined;
  }
}

function say(line: string): void {
  console.error(`[bench ${((Date.now() - startedAt.getTime()) / 1_000).toFixed(1)}s] ${line}`);
}

function print(text: string): number {
  console.log(text);
  return 0;
}

function fail(problem: string): number {
  console.error(problem);
  return 1;
}
