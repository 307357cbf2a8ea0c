/** `npm run faults -- --all`: every named crash point, one after the other, with a line each. Exits with 1 if any failed. */
import { parseArgs } from 'node:util';
import { CRASH_CASES } from './crash-points.ts';
import { referenceStories, tryCrash } from './crash-trial.ts';
import { startWorld } from '../world.ts';

const HELP = `npm run faults -- [--all] [--only TEXT]

Kills a process at each named point while a task runs and checks that nothing is lost, doubled or overspent.
  --all        every point (default: those that npm test runs)
  --only TEXT  only points whose name or description contains TEXT
`;

const { values } = parseArgs({ options: { all: { type: 'boolean' }, only: { type: 'string' }, help: { type: 'boolean' } } });
if (values.help === true) {
  process.stdout.write(HELP);
  process.exit(0);
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
process.exit(failed === 0 ? 0 : 1);
