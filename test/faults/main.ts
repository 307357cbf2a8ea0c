/**
 * `npm run faults -- --all`: every named crash point, one after the other, with a line each; then any number of services coming and
 * going, and the integration tests on the oldest nats-server that is promised. Exits with 1 if any failed.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { CRASH_CASES } from './crash-points.ts';
import { referenceStories, tryCrash } from './crash-trial.ts';
import { FAULTS } from './seeded/fault-kinds.ts';
import { kindsIn, runSeeds } from './seeded/run-seeds.ts';
import { startWorld } from '../world.ts';

const HELP = `npm run faults -- [--all] [--only TEXT] | --seeds N [--seed S] [--kinds a,b] [--beside FOLDER] [--keep]

Kills a process at each named point while a task runs and checks that nothing is lost, doubled or overspent.
  --all        every point (default: those that npm test runs), scale-out under load, and the integration tests on
               nats-server 2.10
  --only TEXT  only points whose name or description contains TEXT

  --seeds N    instead: N random runs of random tasks under random faults, each followed by a check of every invariant
  --seed S     the first seed (default 1); a seed repeats its tasks and faults
  --kinds a,b  only these faults:
${Object.entries(FAULTS)
  .map(([kind, { says }]) => `                 ${kind.padEnd(14)} ${says}`)
  .join('\n')}
  --beside F   every second instance of a service runs the build in that folder: two versions side by side
  --keep       leave the data folder of a run that failed
`;

const { values } = parseArgs({
  options: {
    all: { type: 'boolean' },
    only: { type: 'string' },
    seeds: { type: 'string' },
    seed: { type: 'string', default: '1' },
    kinds: { type: 'string' },
    keep: { type: 'boolean', default: false },
    beside: { type: 'string' },
    help: { type: 'boolean' },
  },
});
if (values.help === true) {
  process.stdout.write(HELP);
  process.exit(0);
}
if (values.seeds !== undefined) {
  const asked = {
    seeds: Number(values.seeds),
    first: Number(values.seed),
    kinds: kindsIn(values.kinds),
    keep: values.keep,
    beside: values.beside,
  };
  process.exit((await runSeeds(asked, (text) => process.stdout.write(text))) === 0 ? 0 : 1);
}

const only = values.only;
const cases = CRASH_CASES.filter(
  (one) =>
    (values.all === true || one.listed === true || only !== undefined) &&
    (only === undefined || `${one.service} ${one.point} ${one.when}`.includes(only)),
);
const world = await startWorld();
let failed = 0;
try {
  const references = await referenceStories(world);
  for (const [index, one] of cases.entries()) {
    const started = performance.now();
    const problem = await tryCrash(world, one, references).then(
      (trial) => {
        const good =
          trial.happened &&
          trial.counted === one.counted &&
          trial.spentAtLeastBilled &&
          JSON.stringify(trial.story) === JSON.stringify(trial.expected);
        return good ? undefined : JSON.stringify(trial);
      },
      (error: unknown) => (error as Error).message,
    );
    if (problem !== undefined) failed += 1;
    const seconds = ((performance.now() - started) / 1_000).toFixed(1);
    process.stdout.write(
      `${problem === undefined ? 'ok  ' : 'FAIL'} ${index + 1}/${cases.length} ${one.point}@${one.n} (${one.when}) ${seconds} s${problem === undefined ? '' : `\n     ${problem}`}\n`,
    );
  }
} finally {
  await world.stop();
}
process.stdout.write(`${cases.length - failed} of ${cases.length} crash points held\n`);
const isAll = values.all === true && only === undefined;
const heldOut = isAll ? testScale() + testBaseline(process.env['NATS_BASELINE_BIN']) : 0;
process.exit(failed + heldOut === 0 ? 0 : 1);

/** Any number of every service coming and going: too long for `npm test`. @returns how many runs failed */
function testScale(): number {
  return runTests('scale-out and rolling restarts', 'scale', {});
}

/** The integration tests with another nats-server than `npm test` has. `npm run faults` finds or installs it. */
function testBaseline(binary: string | undefined): number {
  if (binary === undefined) {
    process.stdout.write('FAIL no NATS_BASELINE_BIN: start this by npm run faults -- --all\n');
    return 1;
  }
  const version = spawnSync(binary, ['--version'], { encoding: 'utf8' }).stdout.trim();
  return runTests(`integration tests on ${version}`, 'integration', { NATS_SERVER_BIN: binary });
}

function runTests(what: string, project: string, env: Readonly<Record<string, string>>): number {
  process.stdout.write(`${what}\n`);
  const root = join(import.meta.dirname, '../..');
  const { status } = spawnSync(process.execPath, [join(root, 'node_modules/vitest/vitest.mjs'), 'run', '--project', project], {
    ...{ cwd: root, env: { ...process.env, ...env }, stdio: 'inherit' },
  });
  process.stdout.write(`${status === 0 ? 'ok  ' : 'FAIL'} ${what}\n`);
  return status === 0 ? 0 : 1;
}
